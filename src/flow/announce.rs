//! Runs `on_authorized` for a grant that was just stored.

use std::sync::Arc;

use super::persist::{Kept, Known};
use crate::context::Context;
use crate::context::flow_cookie::Flow;
use crate::hooks::{NewGrant, Next, Refused, is_webflow_page};
use crate::util::log;

/// Where the hook sends the browser, if not to the flow's page.
///
/// # Errors
/// When the hook refuses the grant, which is logged.
pub async fn announce(
    context: &Arc<Context>,
    flow: &Flow,
    known: &Known,
    kept: &Kept,
) -> Result<Option<String>, Refused> {
    let outcome = context.hooks.authorized(|| new_grant(flow, known, kept)).await;
    if let Err(Refused(error)) = &outcome {
        tracing::error!(
            target: log::APPLICATION, flow = flow.id(), error = &**error,
            "on_authorized refused the grant; revoking it"
        );
    }
    outcome.map(|next| location(context, next))
}

fn new_grant(flow: &Flow, known: &Known, kept: &Kept) -> NewGrant {
    let token = kept.token.clone();
    let before = || known.present.iter().chain(known.previous.iter());
    let is_new = |site: &&String| !before().any(|old| old.covers_site(site));
    NewGrant {
        former: kept.former(known).cloned(),
        first: before().next().is_none(),
        new_sites: token.sites().iter().filter(is_new).cloned().collect(),
        return_to: flow.return_to.clone(),
        data: flow.data.clone(),
        token,
    }
}

/// The address of a redirect that browsers may be sent to.
fn location(context: &Context, next: Next) -> Option<String> {
    let Next::Redirect(to) = next else { return None };
    if is_webflow_page(&to) {
        return Some(to);
    }
    let own = context.own_page(&to);
    if own.is_none() {
        tracing::error!(
            target: log::APPLICATION, to,
            "on_authorized redirects to an address that is neither a path of the application nor a \
             page of Webflow's: continuing as if it had not"
        );
    }
    own
}

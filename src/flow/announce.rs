//! Runs `on_authorized` for a grant that was just stored.

use std::sync::Arc;

use super::persist::{Kept, Known};
use crate::context::Context;
use crate::flow_state::cookie::Flow;
use crate::hooks::{NewGrant, Next, Refused, is_webflow_page};
use crate::util::log;

/// Returns where the hook redirects the browser, or `None` for the flow's `return_to`.
///
/// # Errors
/// The hook refused the grant. This is logged.
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

/// The target of the hook's redirect, if it is a path of the application or a page of Webflow.
fn location(context: &Context, next: Next) -> Option<String> {
    let Next::Redirect(to) = next else { return None };
    if is_webflow_page(&to) {
        return Some(to);
    }
    let own = context.own_page(&to);
    if own.is_none() {
        tracing::error!(
            target: log::APPLICATION, to,
            "ignoring a redirect of on_authorized: it leads to neither a path of the application \
             nor a page of Webflow"
        );
    }
    own
}

//! Callbacks in a browser where nobody is signed in to the application.
//!
//! The code is not exchanged, since nothing shows whose grant it would be. It is sealed into the
//! flow's cookie until somebody signs in and claims it. The server stores nothing: a code that
//! nobody claims expires at Webflow.

use percent_encoding::utf8_percent_encode;

use super::authorize::cookies;
use super::{see_other, set_cookies};
use crate::context::Context;
use crate::flow_state::cookie::{Flow, Parked};
use crate::identity::sign_in::SignIn;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem, catalog};
use crate::util::log;
use crate::wire::paths::COMPONENT;
use crate::wire::request_head::RequestHead;

/// The longest code that is parked, to keep the cookie below 4 KiB.
const MAX_CODE_LEN: usize = 1024;

/// Parks the code, if the callback has one, and sends the browser to the sign-in page.
pub fn park(
    context: &Context,
    head: &RequestHead<'_>,
    sign_in: &SignIn,
    mut flow: Flow,
    code: Option<String>,
) -> Result<Answer, Problem> {
    let mut answer = see_other(&sign_in.url(&claim_path(context, &flow)));
    let parked = flow.parked.as_ref().map(|parked| &parked.code);
    match code {
        None if parked.is_none() => return Err(catalog::malformed_callback()),
        None => {}
        Some(code) if parked == Some(&code) => {}
        Some(code) if code.len() > MAX_CODE_LEN => return Err(catalog::malformed_callback()),
        Some(code) => {
            flow.parked = Some(Parked { code, since_unix_millis: context.clock.unix_millis() });
            set_cookies(&mut answer, cookies(context, head, &mut flow)?);
            tracing::info!(target: log::FLOW, flow = flow.id(), "code parked until somebody signs in");
        }
    }
    Ok(answer)
}

/// If the browser holds a parked code that this user may claim, redirects it to the callback rather
/// than to Webflow.
pub fn claim(
    context: &Context,
    head: &RequestHead<'_>,
    subject: Option<&Subject>,
) -> Option<Answer> {
    context.sign_in.as_ref()?;
    let user = context.user_digest(subject?);
    let flows = context.flows().read(head.headers());
    let may_claim =
        |flow: &&Flow| flow.parked.is_some() && (flow.user.is_none() || flow.user == user);
    let newest = flows.open().filter(may_claim).max_by_key(|flow| flow.began_unix_millis)?;
    Some(see_other(&claim_path(context, newest)))
}

fn claim_path(context: &Context, flow: &Flow) -> String {
    let callback = &context.paths.callback;
    format!("{callback}?state={}", utf8_percent_encode(&flow.state, COMPONENT))
}

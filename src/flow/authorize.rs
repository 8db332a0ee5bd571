//! The authorization request: a new flow, and the redirect to Webflow's consent screen.

use percent_encoding::utf8_percent_encode;

use super::{make_room, see_other, set_cookies};
use crate::context::Context;
use crate::context::flow_cookie::{Flow, FlowKind};
use crate::crypto::random;
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem, catalog};
use crate::util::{log, metrics};
use crate::wire::paths::COMPONENT;
use crate::wire::request_head::RequestHead;

/// The longest flow cookie, name and value; browsers keep up to 4096 bytes.
const MAX_COOKIE_LEN: usize = 4000;

/// Why a flow begins, and for what.
pub struct Start<'a> {
    pub kind: FlowKind,
    pub scopes: &'a Scopes,
    /// Checked already.
    pub return_to: String,
    /// Whose flow it is, where the application decides.
    pub subject: Option<&'a Subject>,
}

/// Begins a flow: 303 to Webflow, with the cookie that binds the flow to this browser.
pub fn begin(
    context: &Context,
    head: &RequestHead<'_>,
    start: Start<'_>,
) -> Result<Answer, Problem> {
    context.check_host(head);
    let mut flow = Flow {
        state: random::token_256(),
        session: random::token_256(),
        began_unix_millis: context.clock.unix_millis(),
        scopes: start.scopes.to_string(),
        return_to: start.return_to,
        user: start.subject.and_then(|subject| context.user_digest(subject)),
        kind: start.kind,
    };
    let mut sealed = context.flows().seal(&flow);
    if sealed.as_ref().is_some_and(|(name, value)| name.len() + value.len() > MAX_COOKIE_LEN) {
        "/".clone_into(&mut flow.return_to);
        sealed = context.flows().seal(&flow);
    }
    let (name, value) = sealed.ok_or_else(catalog::internal)?;
    let cookie = context.cookies.set(&name, &value, context.flow_lifetime);
    let cookie = cookie.ok_or_else(catalog::internal)?;
    let kind = flow.kind.name();
    metrics::flow_started(kind);
    tracing::info!(target: log::FLOW, flow = flow.id(), kind, scopes = flow.scopes, "flow started");
    let mut answer = see_other(&authorize_url(context, &flow.scopes, &flow.state));
    set_cookies(&mut answer, make_room(context, head, Some(name.len() + value.len() + 1)));
    set_cookies(&mut answer, [cookie]);
    Ok(answer)
}

/// The authorization request of RFC 6749 section 4.1.1, in the encoding that Webflow documents:
/// a space is `%20`.
pub fn authorize_url(context: &Context, scopes: &str, state: &str) -> String {
    let webflow = &context.webflow;
    let mut url = webflow.endpoints.authorize().to_string();
    for (separator, name, value) in [
        ('?', "response_type", "code"),
        ('&', "client_id", webflow.client_id.as_str()),
        ('&', "scope", scopes),
        ('&', "redirect_uri", webflow.redirect_uri.as_str()),
        ('&', "state", state),
    ] {
        url.push(separator);
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(value, COMPONENT));
    }
    url
}

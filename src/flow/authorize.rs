//! The authorization request: a new flow, and the redirect to Webflow's consent screen.

use http::HeaderValue;
use percent_encoding::utf8_percent_encode;

use super::{make_room, see_other, set_cookies};
use crate::context::Context;
use crate::crypto::random;
use crate::flow_state::cookie::{CODE_LIFETIME, Flow, FlowKind};
use crate::grant::scope::Scopes;
use crate::identity::Who;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem, catalog};
use crate::util::{log, metrics};
use crate::wire::paths::COMPONENT;
use crate::wire::request_head::RequestHead;

/// The longest flow cookie, name and value together. Browsers ignore cookies over 4096 bytes
/// (RFC 6265bis).
const MAX_COOKIE_LEN: usize = 4000;

/// What a new flow is for.
pub struct Start<'a> {
    pub kind: FlowKind,
    pub scopes: &'a Scopes,
    /// Already checked to be a path of the application.
    pub return_to: String,
    /// The subject that starts the flow, if known.
    pub subject: Option<&'a Subject>,
    /// The application's data for `on_authorized`, as JSON.
    pub data: Option<String>,
}

impl<'a> Start<'a> {
    /// A login that requests `scopes`, which include the configured ones.
    pub fn login(context: &Context, scopes: &'a Scopes, return_to: String, who: &'a Who) -> Self {
        let stepping_up = scopes.len() > context.scopes.len();
        let kind = if stepping_up { FlowKind::StepUp } else { FlowKind::Login };
        Self { kind, scopes, return_to, subject: who.subject(), data: None }
    }
}

/// Starts a flow: a 303 to Webflow, with the cookie that binds the flow to this browser.
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
        data: start.data,
        parked: None,
    };
    let cookies = cookies(context, head, &mut flow)?;
    let kind = flow.kind.name();
    metrics::flow_started(kind);
    tracing::info!(target: log::FLOW, flow = flow.id(), kind, scopes = flow.scopes, "flow started");
    let mut answer = see_other(&authorize_url(context, &flow.scopes, &flow.state));
    set_cookies(&mut answer, cookies);
    Ok(answer)
}

/// The `Set-Cookie` values that store a flow in the browser and remove surplus ones. If the cookie
/// would be too long, `return_to` becomes `/`.
pub fn cookies(
    context: &Context,
    head: &RequestHead<'_>,
    flow: &mut Flow,
) -> Result<Vec<HeaderValue>, Problem> {
    let is_long = |(name, value): &(String, String)| name.len() + value.len() > MAX_COOKIE_LEN;
    let mut sealed = context.flows().seal(flow);
    if sealed.as_ref().is_some_and(is_long) {
        "/".clone_into(&mut flow.return_to);
        sealed = context.flows().seal(flow);
    }
    let (name, value) = sealed.filter(|it| !is_long(it)).ok_or_else(catalog::internal)?;
    let lifetime = match flow.parked {
        Some(_) => CODE_LIFETIME,
        None => context.flow_lifetime,
    };
    let cookie = context.cookies.set(&name, &value, lifetime).ok_or_else(catalog::internal)?;
    let mut cookies = make_room(context, head, Some(name.len() + value.len() + 1));
    cookies.push(cookie);
    Ok(cookies)
}

/// The URL of the authorization request (RFC 6749 section 4.1.1). Spaces are encoded as `%20`, as
/// Webflow documents.
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

//! The authorization request: a new flow, and the redirect to Webflow's consent screen.

use http::HeaderMap;
use percent_encoding::utf8_percent_encode;

use super::cookie::{Flow, FlowKind};
use super::{make_room, see_other, set_cookies};
use crate::context::{COMPONENT, Shared};
use crate::crypto::random;
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::Answer;
use crate::problem::failure;
use crate::util::metrics;
use crate::wire::caller;

/// The longest flow cookie, name and value; browsers keep up to 4096 bytes.
const MAX_COOKIE_LEN: usize = 4000;

/// Why a flow is begun, and for what.
pub(crate) struct Start<'a> {
    pub(crate) kind: FlowKind,
    pub(crate) scopes: &'a Scopes,
    /// Checked already.
    pub(crate) return_to: String,
    /// Whose flow it is, where the application decides.
    pub(crate) subject: Option<&'a Subject>,
}

/// Begins a flow: 303 to Webflow, with the cookie that binds the flow to this browser.
pub(crate) fn begin(shared: &Shared, headers: &HeaderMap, start: Start<'_>) -> Answer {
    let mut flow = Flow {
        state: random::token_256(),
        session: random::token_256(),
        began_unix_secs: shared.clock.unix_secs(),
        scopes: start.scopes.to_string(),
        return_to: start.return_to,
        user: start.subject.and_then(|subject| shared.user_digest(subject)),
        kind: start.kind,
    };
    let mut sealed = flow.seal(shared.cookies, &shared.keyring);
    if sealed.as_ref().is_some_and(|(name, value)| name.len() + value.len() > MAX_COOKIE_LEN) {
        "/".clone_into(&mut flow.return_to);
        sealed = flow.seal(shared.cookies, &shared.keyring);
    }
    let cookie = sealed.and_then(|(name, value)| {
        let cookie = shared.cookies.set(&name, &value, shared.flow_lifetime)?;
        Some((name.len() + value.len() + 1, cookie))
    });
    let Some((len, cookie)) = cookie else {
        return shared.fail(&failure::internal(), caller::accepts_html(headers));
    };
    metrics::flow_started(flow.kind.name());
    tracing::info!(flow = flow.id(), kind = flow.kind.name(), scopes = flow.scopes, "flow started");
    let mut answer = see_other(&authorize_url(shared, &flow.scopes, &flow.state));
    set_cookies(&mut answer, make_room(shared, headers, Some(len)));
    set_cookies(&mut answer, [cookie]);
    answer
}

/// The authorization request of RFC 6749 section 4.1.1, in the encoding that Webflow documents:
/// a space is `%20`.
pub(crate) fn authorize_url(shared: &Shared, scopes: &str, state: &str) -> String {
    let webflow = &shared.webflow;
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

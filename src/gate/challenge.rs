//! The challenge: the response to a request without a usable token.

use crate::context::Context;
use crate::flow::authorize::{Start, begin};
use crate::flow::park::claim;
use crate::flow::see_other;
use crate::flow_state::cookie::FlowKind;
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem, catalog};
use crate::util::{log, metrics};
use crate::wire::query::single;
use crate::wire::request_head::{RequestHead, RequestKind};

/// Redirects a navigation to Webflow. Any other request gets a 401 with a login link.
pub fn challenge(
    context: &Context,
    head: &RequestHead<'_>,
    subject: Option<&Subject>,
    kind: FlowKind,
    scopes: &Scopes,
) -> Result<Answer, Problem> {
    check_misplaced_callback(context, head)?;
    if head.kind() == RequestKind::Navigation {
        // While the store is down, the user's consent could not be stored.
        if context.vault.has_just_failed() {
            return Err(catalog::store_unavailable());
        }
        if let Some(answer) = claim(context, head, subject) {
            return Ok(answer);
        }
        metrics::challenged("redirect");
        let return_to = context.return_to(head.path());
        return begin(context, head, Start { kind, scopes, return_to, subject, data: None });
    }
    let more = (kind == FlowKind::StepUp).then_some(scopes);
    let return_to =
        if head.is_framed() { context.return_to(head.path()) } else { return_to(context, head) };
    Err(login_required(context, &return_to, more))
}

/// For a browser in which nobody is signed in to the application: redirects a navigation to the
/// sign-in page. Any other request gets a 401 with a link to it.
pub fn sign_in(context: &Context, head: &RequestHead<'_>) -> Result<Answer, Problem> {
    let Some(sign_in) = &context.sign_in else { return Err(catalog::not_signed_in()) };
    if head.is_page_load() {
        check_misplaced_callback(context, head)?;
        metrics::challenged("redirect");
        return Ok(see_other(&sign_in.url(&context.return_to(head.path()))));
    }
    metrics::challenged("401");
    let next = return_to(context, head);
    Err(catalog::not_signed_in().login_url(sign_in.url(&next)))
}

/// Without this check, a callback that arrives at another path would send the user to the consent
/// screen in a loop.
fn check_misplaced_callback(context: &Context, head: &RequestHead<'_>) -> Result<(), Problem> {
    let query = head.query();
    if !head.wants_page() || !query.contains("code=") {
        return Ok(());
    }
    let (Ok(Some(_)), Ok(Some(state))) = (single(query, "code"), single(query, "state")) else {
        return Ok(());
    };
    if context.flows().find(head.headers(), &state).is_err() {
        return Ok(());
    }
    let path = head.path().split('?').next().unwrap_or_default();
    let callback = &context.paths.callback;
    tracing::error!(
        target: log::FLOW,
        path,
        callback,
        "a callback arrived at another path: something in front of the layer changes paths"
    );
    Err(catalog::misplaced_callback(path, callback))
}

/// The 401 for a request that cannot be redirected. It sets no cookie, so that scripts leave no
/// abandoned flows behind.
pub fn login_required(context: &Context, return_to: &str, scopes: Option<&Scopes>) -> Problem {
    metrics::challenged("401");
    let login_url = context.login_url(return_to, scopes);
    if scopes.is_some() {
        catalog::more_scopes_required(login_url)
    } else {
        catalog::login_required(login_url)
    }
}

/// Where to return after a login that a script's request needs: the page of the script, if the
/// browser names it, rather than the request's path.
pub fn return_to(context: &Context, head: &RequestHead<'_>) -> String {
    if let Some(page) = head.page(&context.origin) {
        return context.return_to(&page);
    }
    let own = head.is_safe() && !head.is_browser_script();
    context.return_to(if own { head.path() } else { "/" })
}

//! The challenge: what a request without a usable token gets.

use crate::context::Context;
use crate::context::flow_cookie::FlowKind;
use crate::flow::authorize::{Start, begin};
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem, catalog};
use crate::util::metrics;
use crate::wire::request_head::{RequestHead, RequestKind};

/// Sends a navigation to Webflow; tells everything else where a login begins.
pub(crate) fn challenge(
    context: &Context,
    head: &RequestHead<'_>,
    subject: Option<&Subject>,
    kind: FlowKind,
    scopes: &Scopes,
) -> Result<Answer, Problem> {
    if head.kind() == RequestKind::Navigation {
        metrics::challenged("redirect");
        let return_to = context.return_to(head.path());
        return begin(context, head, Start { kind, scopes, return_to, subject });
    }
    let more = (kind == FlowKind::StepUp).then_some(scopes);
    Err(login_required(context, &return_to(context, head), more))
}

/// The 401 for everything that does not navigate. No cookie is set, so that scripts do not leave
/// abandoned flows behind.
pub(crate) fn login_required(
    context: &Context,
    return_to: &str,
    scopes: Option<&Scopes>,
) -> Problem {
    metrics::challenged("401");
    catalog::login_required(context.login_url(return_to, scopes))
}

/// Where to go after a login that a script has asked for.
pub(crate) fn return_to(context: &Context, head: &RequestHead<'_>) -> String {
    let page = head.htmx_page(&context.origin);
    let path = page.as_deref().or_else(|| head.is_safe().then(|| head.path()));
    context.return_to(path.unwrap_or("/"))
}

//! The challenge: what a request gets that has no usable token.

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::context::{Shared, original_uri};
use crate::flow::authorize::{Start, begin};
use crate::flow::cookie::FlowKind;
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem};
use crate::util::metrics;
use crate::wire::caller;
use crate::wire::caller::Caller;

const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// Sends a navigation to Webflow; tells everything else where a login begins.
pub(crate) fn challenge(
    shared: &Shared,
    parts: &Parts,
    subject: Option<&Subject>,
    kind: FlowKind,
    scopes: &Scopes,
) -> Answer {
    let more = (kind == FlowKind::StepUp).then_some(scopes);
    if Caller::of(&parts.method, &parts.headers) == Caller::Navigation {
        metrics::challenged("redirect");
        let return_to = shared.return_to(&path_of(original_uri(parts)));
        begin(shared, &parts.headers, Start { kind, scopes, return_to, subject })
    } else {
        script(shared, parts, &return_to(shared, parts), more)
    }
}

/// The 401 for everything that does not navigate: no cookie is set, so that no script begins
/// flows that nobody ends.
pub(crate) fn script(
    shared: &Shared,
    parts: &Parts,
    return_to: &str,
    scopes: Option<&Scopes>,
) -> Answer {
    metrics::challenged("401");
    let login_url = shared.login_url(return_to, scopes);
    let mut answer = login_required(&login_url).respond(false);
    if caller::is_htmx(&parts.headers)
        && let Ok(login_url) = HeaderValue::from_str(&login_url)
    {
        answer.headers_mut().insert(HX_REDIRECT, login_url);
    }
    with_scheme(answer, &parts.headers)
}

/// The 401 where the application decides who its users are, and there is none.
pub(crate) fn not_signed_in(shared: &Shared, parts: &Parts) -> Answer {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "not-signed-in",
        "Please sign in first",
        "Webflow can be connected once you are signed in to the application.",
    );
    with_scheme(shared.fail(&problem, caller::wants_page(&parts.headers)), &parts.headers)
}

fn login_required(login_url: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "login-required",
        "Webflow is not connected",
        "Send the browser to login_url to connect Webflow; it comes back when that is done.",
    )
    .login_url(login_url)
}

/// A 401 names the scheme by which to authenticate (RFC 9110 section 15.5.2). No browser asks for
/// a password for this one. gRPC clients look for a status of their own first.
fn with_scheme(mut answer: Answer, request: &HeaderMap) -> Answer {
    const UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");
    let headers = answer.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Webflow realm=\"webflow\""));
    if request.get(CONTENT_TYPE).is_some_and(caller::is_grpc) {
        headers.insert("grpc-status", UNAUTHENTICATED);
        headers.insert("grpc-message", HeaderValue::from_static("Webflow is not connected"));
    }
    answer
}

/// Where to go after a login that a script has asked for.
fn return_to(shared: &Shared, parts: &Parts) -> String {
    let path = htmx_page(shared, &parts.headers)
        .or_else(|| caller::is_safe(&parts.method).then(|| path_of(original_uri(parts))));
    shared.return_to(path.as_deref().unwrap_or("/"))
}

/// The page that an HTMX request comes from, if it is one of this origin.
fn htmx_page(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    if !caller::is_htmx(headers) {
        return None;
    }
    let page: Uri = headers.get("hx-current-url")?.to_str().ok()?.parse().ok()?;
    let origin = format!("{}://{}", page.scheme_str()?, page.authority()?);
    (origin == shared.origin).then(|| path_of(&page))
}

fn path_of(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

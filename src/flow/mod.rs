//! Flows: the trips to Webflow's consent screen and back.

pub(crate) mod authorize;
pub(crate) mod callback;
pub(crate) mod cookie;
mod exchange;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod pending;
mod persist;

use std::sync::Arc;

use http::header::{ALLOW, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::context::{Endpoint, Shared};
use crate::flow::cookie::FlowCookies;
use crate::problem::{Answer, Problem, answer};
use crate::wire::caller;

/// Answers a request for one of the crate's own paths.
pub(crate) async fn serve(shared: Arc<Shared>, endpoint: Endpoint, parts: Parts) -> Answer {
    match endpoint {
        Endpoint::Callback => callback::serve(&shared, &parts).await,
        Endpoint::Login => login::serve(&shared, &parts).await,
        Endpoint::Logout => logout::serve(&shared, &parts).await,
    }
}

fn method_not_allowed(parts: &Parts, allow: &'static str) -> Answer {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "This address does not take that method",
        format!("Use {allow}."),
    );
    let mut answer = problem.respond(caller::accepts_html(&parts.headers));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

fn no_prefetch(parts: &Parts) -> Answer {
    Problem::new(
        StatusCode::FORBIDDEN,
        "prefetch",
        "Nothing is done ahead",
        "A sign-in is not prefetched: open the link itself.",
    )
    .respond(caller::accepts_html(&parts.headers))
}

/// A 303, which browsers follow by GET.
pub(crate) fn see_other(location: &str) -> Answer {
    let mut answer = answer(StatusCode::SEE_OTHER, "");
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// Drops the browser's flow cookies that are too many, before one of `new_len` bytes is added if there
/// is one.
fn make_room(shared: &Shared, headers: &HeaderMap, new_len: Option<usize>) -> Vec<HeaderValue> {
    let flows = FlowCookies::read(headers, shared.cookies, &shared.keyring);
    flows.make_room(shared.cookies, new_len, shared.flow_lifetime, shared.clock.unix_secs())
}

fn set_cookies(answer: &mut Answer, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

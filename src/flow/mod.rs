//! The authorization code flow (RFC 6749 section 4.1): the redirect to Webflow, the callback, the
//! code exchange, and the logout.
//!
//! It may use every module except the middleware. Each path returns its [`Problem`] with `?`, and
//! [`serve`] renders it.

mod announce;
pub mod authorize;
pub mod begin;
mod callback;
mod exchange;
mod login;
mod logout;
pub mod park;
mod persist;

use std::sync::Arc;

use http::header::{LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::context::Context;
use crate::identity::Who;
use crate::problem::{Answer, Problem, answer, catalog};
use crate::wire::paths::Endpoint;
use crate::wire::request_head::{RequestHead, RequestKind};

#[cfg(feature = "_fuzzing")]
pub use callback::{is_well_formed, known_error};

/// Answers a request for one of the crate's own paths.
pub async fn serve(context: Arc<Context>, endpoint: Endpoint, parts: Parts) -> Answer {
    let head = context.head(&parts);
    // No user sees these, so `on_error` is not called.
    let plain = |problem: Problem| Ok(problem.respond(&head));
    let served = match (endpoint, &parts.method) {
        (Endpoint::Callback | Endpoint::Login, &Method::HEAD) => Ok(answer(StatusCode::OK, "")),
        (Endpoint::Callback | Endpoint::Login, &Method::GET)
            if head.kind() == RequestKind::Prefetch =>
        {
            plain(catalog::prefetch())
        }
        (Endpoint::Callback, &Method::GET) => callback::serve(&context, &parts, &head).await,
        (Endpoint::Login, &Method::GET) => login::serve(&context, &parts, &head).await,
        (Endpoint::Logout, &Method::POST) => logout::serve(&context, &parts, &head).await,
        (Endpoint::Callback | Endpoint::Login, _) => {
            plain(catalog::method_not_allowed("GET, HEAD"))
        }
        (Endpoint::Logout, _) => plain(catalog::method_not_allowed("POST")),
    };
    served.unwrap_or_else(|problem| context.fail(&problem, &head))
}

/// Rejects a browser in which nobody is signed in to the application, unless `sign_in_at` is set:
/// then the user can sign in later.
fn check_signed_in(context: &Context, who: Who) -> Result<Who, Problem> {
    match who {
        Who::Stranger if context.sign_in.is_none() => Err(catalog::not_signed_in()),
        who => Ok(who),
    }
}

/// A 303, which browsers follow with a GET.
pub fn see_other(location: &str) -> Answer {
    let mut answer = answer(StatusCode::SEE_OTHER, "");
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// Removes surplus flow cookies. `new_len` is the length of a cookie about to be set, if any.
fn make_room(
    context: &Context,
    head: &RequestHead<'_>,
    new_len: Option<usize>,
) -> Vec<HeaderValue> {
    context.flows().read(head.headers()).make_room(new_len)
}

fn set_cookies(answer: &mut Answer, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

//! The login path: a flow begun by a link.

use http::request::Parts;
use http::{Method, StatusCode};

use super::authorize::{Start, begin};
use super::cookie::FlowKind;
use super::{method_not_allowed, no_prefetch};
use crate::context::{Shared, Who, original_uri};
use crate::gate::challenge;
use crate::grant::scope::{Scope, Scopes};
use crate::problem::failure;
use crate::problem::{Answer, Problem, answer};
use crate::wire::caller;
use crate::wire::query::single;

/// The longest list of scopes that one login may ask for, in bytes: it is in the flow's cookie.
/// All that Webflow documents take some 400.
const MAX_SCOPES_LEN: usize = 1024;

pub(crate) async fn serve(shared: &Shared, parts: &Parts) -> Answer {
    let html = caller::accepts_html(&parts.headers);
    match parts.method {
        Method::GET => {}
        Method::HEAD => return answer(StatusCode::OK, ""),
        _ => return method_not_allowed(parts, "GET, HEAD"),
    }
    if caller::is_prefetch(&parts.headers) {
        return no_prefetch(parts);
    }
    let query = original_uri(parts).query().unwrap_or_default();
    let (Ok(return_to), Ok(scope)) = (single(query, "return_to"), single(query, "scope")) else {
        return shared.fail(&malformed(), html);
    };
    let Some(scopes) = scopes(shared, scope.as_deref()) else {
        return shared.fail(&malformed(), html);
    };
    let return_to = shared.return_to(return_to.as_deref().unwrap_or("/"));
    let subject = match shared.who(parts).await {
        Who::Known(subject) => Some(subject),
        Who::Nobody => None,
        Who::Stranger => return challenge::not_signed_in(shared, parts),
        Who::Unknown(why) => return shared.fail(&failure::of_subject(why), html),
    };
    if caller::is_surely_no_navigation(&parts.headers) {
        return challenge::script(shared, parts, &return_to, None);
    }
    let stepping_up = scopes.len() > shared.scopes.len();
    let kind = if stepping_up { FlowKind::StepUp } else { FlowKind::Login };
    begin(
        shared,
        &parts.headers,
        Start { kind, scopes: &scopes, return_to, subject: subject.as_ref() },
    )
}

/// The application's own scopes and those asked for; `None` when one of them is malformed.
fn scopes(shared: &Shared, asked: Option<&str>) -> Option<Scopes> {
    let asked = asked.unwrap_or_default();
    // Before the list is read: what a set of scopes costs grows with the square of their number.
    if asked.len() > MAX_SCOPES_LEN {
        return None;
    }
    let asked = asked
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(|scope| Scope::new(scope).ok())
        .collect::<Option<Scopes>>()?;
    let scopes = shared.scopes.union(&asked);
    (asked.is_empty() || scopes.to_string().len() <= MAX_SCOPES_LEN).then_some(scopes)
}

fn malformed() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed-login",
        "This sign-in link is malformed",
        "It takes return_to, a path, and scope, a list such as sites:read cms:read; each once.",
    )
}

//! The logout path: the session ends, and the authorization too when that is asked for.

use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::cookie::{Flow, FlowCookies};
use super::{method_not_allowed, see_other, set_cookies};
use crate::context::{Shared, Who, original_uri};
use crate::grant::revoke::{RevokeError, end_all};
use crate::identity::subject::Subject;
use crate::problem::failure;
use crate::problem::{Answer, Problem, answer};
use crate::store::StoreError;
use crate::wire::caller;
use crate::wire::query::single;

pub(crate) async fn serve(shared: &Arc<Shared>, parts: &Parts) -> Answer {
    let page = caller::wants_page(&parts.headers);
    if parts.method != Method::POST {
        return method_not_allowed(parts, "POST");
    }
    if !is_same_origin(&parts.headers, &shared.origin) {
        return shared.fail(&cross_origin(&shared.origin), page);
    }
    let query = original_uri(parts).query().unwrap_or_default();
    // Given twice it might be meant either way.
    let Ok(revoke) = single(query, "revoke") else {
        return shared.fail(&malformed(), page);
    };
    let revoke = revoke.as_deref() == Some("true");
    let return_to = single(query, "return_to").ok().flatten();
    // The page's own address takes no GET, so trying again begins at the application's pages.
    let failed = |problem: Problem| shared.fail(&problem.retry_here(false), page);
    let subject = match shared.who(parts).await {
        Who::Known(subject) => Some(subject),
        Who::Nobody | Who::Stranger => None,
        Who::Unknown(why) => return failed(failure::of_subject(why)),
    };
    let flows = FlowCookies::read(&parts.headers, shared.cookies, &shared.keyring);
    let leaving = Leaving { subject, flows: flows.all().cloned().collect(), revoke };
    let mut answer = match leaving.leave(shared).await {
        Err(RevokeError::Store(error)) => {
            return failed(failure::of_store(&error));
        }
        Err(RevokeError::Webflow) => shared.fail(&webflow_not_told(), page),
        Ok(()) if page => see_other(&shared.return_to(return_to.as_deref().unwrap_or("/"))),
        Ok(()) => answer(StatusCode::NO_CONTENT, ""),
    };
    set_cookies(&mut answer, flows.remove_all(shared.cookies));
    set_cookies(&mut answer, shared.cookies.remove(shared.cookies.session_name()));
    answer
}

/// A browser that logs out.
struct Leaving {
    subject: Option<Subject>,
    /// The flows that it has begun: a callback of theirs may be under way, may still come, or may
    /// have made a session of which the browser never heard.
    flows: Vec<Flow>,
    revoke: bool,
}

impl Leaving {
    /// Ends all of it, in a task of its own: a browser that hangs up leaves no half of it.
    async fn leave(self, shared: &Arc<Shared>) -> Result<(), RevokeError> {
        let own = Arc::clone(shared);
        let work = async move { self.end(&own).await };
        shared
            .tasks
            .run(work)
            .await
            .unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
    }

    async fn end(&self, shared: &Arc<Shared>) -> Result<(), RevokeError> {
        let now = shared.clock.unix_secs();
        let lifetime = shared.flow_lifetime.as_secs();
        let flows: Vec<_> = self
            .flows
            .iter()
            .map(|flow| (flow.id(), flow.began_unix_secs.saturating_add(lifetime)))
            .collect();
        // First, since a callback that is under way may be moving grants from one session to
        // another.
        shared.in_flight.end(&flows, now).await;
        let mut outcome = Ok(());
        let sessions = self.flows.iter().filter(|flow| flow.user.is_none());
        let sessions = sessions.map(|flow| Subject::session(&flow.session));
        for subject in self.subject.iter().cloned().chain(sessions) {
            match end_all(shared, &subject, self.revoke).await {
                Err(RevokeError::Webflow) => outcome = Err(RevokeError::Webflow),
                ended => ended.map(drop)?,
            }
        }
        outcome
    }
}

/// Whether the request comes from a page of this origin, by `Sec-Fetch-Site` and `Origin`: each
/// that is there must say so, and one of them must be there.
fn is_same_origin(headers: &HeaderMap, own: &str) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site == "same-origin" || site == "none");
    // A page that sends no referrer sends `null` here, also to its own origin.
    let origin = headers
        .get(ORIGIN)
        .filter(|origin| site.is_none() || *origin != "null")
        .map(|origin| origin.as_bytes() == own.as_bytes());
    site.or(origin).is_some() && site.unwrap_or(true) && origin.unwrap_or(true)
}

fn cross_origin(own: &str) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross-origin",
        "This request did not come from the application's own pages",
        format!("Signing out takes a POST from a page of {own}."),
    )
    .login_url("/")
    .way_on("Back to the application")
}

fn malformed() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed-logout",
        "This sign-out link is malformed",
        "Its parameter revoke is there twice. Nothing has changed: you are still signed in.",
    )
    .login_url("/")
    .way_on("Back to the application")
}

fn webflow_not_told() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "webflow-not-told",
        "You are signed out, but Webflow was not told",
        "Webflow could not be asked to end the authorization. It will be asked again; \
         you can also remove the app in your Webflow settings.",
    )
    .login_url("/")
    .way_on("Back to the application")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn o1_only_requests_of_this_origin_log_out() {
        let own = "https://app.example.com";
        for (expected, headers) in [
            (true, vec![("origin", own)]),
            (true, vec![("sec-fetch-site", "same-origin")]),
            (true, vec![("sec-fetch-site", "same-origin"), ("origin", own)]),
            (false, vec![]),
            (false, vec![("origin", "https://evil.example")]),
            (false, vec![("origin", "null")]),
            (true, vec![("origin", "null"), ("sec-fetch-site", "same-origin")]),
            (false, vec![("origin", "null"), ("sec-fetch-site", "cross-site")]),
            (false, vec![("origin", "http://app.example.com")]),
            (false, vec![("sec-fetch-site", "cross-site")]),
            (false, vec![("sec-fetch-site", "same-site")]),
            (false, vec![("sec-fetch-site", "cross-site"), ("origin", own)]),
            (false, vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            assert_eq!(is_same_origin(&map, own), expected, "{headers:?}");
        }
    }
}

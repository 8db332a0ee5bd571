//! The logout path: ends the session and, with `revoke=true`, the authorization at Webflow.

use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{see_other, set_cookies};
use crate::context::Context;
use crate::flow_state::cookie::{Flow, MAX_FLOWS};
use crate::hooks::Why;
use crate::identity::subject::Subject;
use crate::lifecycle::disconnect::{RevokeError, end_all};
use crate::problem::{Answer, Problem, answer, catalog};
use crate::store::StoreError;
use crate::wire::query::single;
use crate::wire::request_head::RequestHead;

pub async fn serve(
    context: &Arc<Context>,
    parts: &Parts,
    head: &RequestHead<'_>,
) -> Result<Answer, Problem> {
    if !is_same_origin(&parts.headers, &context.origin) {
        return Err(catalog::cross_origin(&context.origin));
    }
    // A repeated parameter is ambiguous.
    let revoke = single(head.query(), "revoke").map_err(|_| catalog::malformed_logout())?;
    let revoke = revoke.as_deref() == Some("true");
    let return_to = single(head.query(), "return_to").ok().flatten();
    // This path accepts no GET, so the page must not link to it.
    let elsewhere = |problem: Problem| problem.retry_here(false);
    let subject = context.who(parts).await.map_err(elsewhere)?.subject().cloned();
    let flows = context.flows().read(&parts.headers);
    let logout = Logout { subject, flows: flows.distinct(MAX_FLOWS), revoke };
    let permit = Arc::clone(&context.logouts).try_acquire_owned();
    let permit = permit.map_err(|_| catalog::too_many_logouts())?;
    let mut answer = match logout.run(context, permit).await {
        Err(RevokeError::Store(error)) => return Err(elsewhere(catalog::store_failed(&error))),
        Err(RevokeError::WebflowUnreachable) => context.fail(&catalog::webflow_not_told(), head),
        Ok(()) if head.wants_page() => {
            see_other(&context.return_to(return_to.as_deref().unwrap_or("/")))
        }
        Ok(()) => answer(StatusCode::NO_CONTENT, ""),
    };
    set_cookies(&mut answer, flows.remove_all());
    set_cookies(&mut answer, context.session_removals(&parts.headers));
    Ok(answer)
}

/// What a logout ends.
struct Logout {
    subject: Option<Subject>,
    /// The browser's open flows. Their callbacks may be running, may still arrive, or may have
    /// created a session whose cookie was lost.
    flows: Vec<Flow>,
    revoke: bool,
}

impl Logout {
    /// Runs in its own task, so that a dropped connection leaves no logout half done.
    async fn run(
        self,
        context: &Arc<Context>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), RevokeError> {
        if self.subject.is_none() && self.flows.is_empty() {
            return Ok(());
        }
        let own = Arc::clone(context);
        let work = async move {
            let _permit = permit;
            self.end(&own).await
        };
        let outcome = context.tasks.run(work).await;
        outcome.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
    }

    async fn end(&self, context: &Arc<Context>) -> Result<(), RevokeError> {
        let expires = |flow: &Flow| flow.expires_unix_secs(context.flow_lifetime);
        let flows: Vec<_> = self.flows.iter().map(|flow| (flow.id(), expires(flow))).collect();
        // First, since a running callback may be moving grants between sessions.
        context.pending.end(&flows).await;
        let ended = self.end_subjects(context).await;
        if matches!(ended, Err(RevokeError::Store(_))) {
            // A failed logout changes nothing, so its flows stay open.
            context.pending.reopen(&flows);
        }
        ended
    }

    async fn end_subjects(&self, context: &Arc<Context>) -> Result<(), RevokeError> {
        let mut outcome = Ok(());
        let sessions = self.flows.iter().filter(|_| context.subjects_are_sessions());
        let sessions = sessions.map(|flow| Subject::session(&flow.session));
        for subject in self.subject.iter().cloned().chain(sessions) {
            match end_all(context, &subject, self.revoke, Why::SignedOut).await {
                Err(RevokeError::WebflowUnreachable) => {
                    outcome = Err(RevokeError::WebflowUnreachable);
                }
                ended => ended.map(drop)?,
            }
        }
        outcome
    }
}

/// Whether the request comes from a page of this origin. `Sec-Fetch-Site` or `Origin` must be
/// present, and each that is present must agree.
fn is_same_origin(headers: &HeaderMap, own: &str) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site == "same-origin" || site == "none");
    // With `Referrer-Policy: no-referrer`, browsers send `Origin: null` even to the same origin.
    let origin = headers
        .get(ORIGIN)
        .filter(|origin| site.is_none() || *origin != "null")
        .map(|origin| origin.as_bytes() == own.as_bytes());
    site.or(origin).is_some() && site.unwrap_or(true) && origin.unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn o1_only_same_origin_requests_log_out() {
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

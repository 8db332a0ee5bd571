//! Error responses: HTML for browsers, `application/problem+json` otherwise.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::{FailureKind, Problem, page};
use crate::wire::request_head::RequestHead;

/// A response of this crate, before its body is converted to the application's type.
pub type Answer = Response<Bytes>;

const PROBLEM_JSON: &str = "application/problem+json";
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

#[derive(Serialize)]
struct Json<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<&'a str>,
}

impl Problem {
    /// Renders the problem as the response to a request.
    pub fn respond(&self, head: &RequestHead<'_>) -> Answer {
        let mut answer = if head.wants_page() { self.page(head.is_framed()) } else { self.json() };
        self.complete(&mut answer, head);
        answer
    }

    /// Adds the headers of a 401. The response may be one that `on_error` returned.
    pub fn complete(&self, answer: &mut Answer, head: &RequestHead<'_>) {
        if answer.status() != StatusCode::UNAUTHORIZED {
            return;
        }
        let headers = answer.headers_mut();
        // gRPC clients read this status before that of HTTP.
        if head.is_grpc() {
            headers.insert("grpc-status", HeaderValue::from_static("16"));
            headers.insert("grpc-message", HeaderValue::from_static("Webflow is not connected"));
        }
        if head.is_htmx()
            && matches!(self.kind, FailureKind::LoginRequired | FailureKind::NotSignedIn)
            && let Some(url) = &self.login_url
            && let Ok(url) = HeaderValue::from_str(url)
        {
            headers.insert(HX_REDIRECT, url);
        }
    }

    /// Renders the problem as `application/problem+json`.
    pub fn json(&self) -> Answer {
        let json = Json {
            r#type: format!("urn:tower-webflow-auth:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            login_url: self.login_url.as_deref(),
            missing_scopes: self.missing_scopes.as_deref(),
        };
        let body = serde_json::to_vec(&json).unwrap_or_default();
        self.with_headers(body.into(), HeaderValue::from_static(PROBLEM_JSON))
    }

    fn page(&self, framed: bool) -> Answer {
        let html = page::problem(self, framed).into_string();
        let mut answer =
            self.with_headers(html.into(), HeaderValue::from_static("text/html; charset=utf-8"));
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, page::policy(framed));
        answer
    }

    fn with_headers(&self, body: Bytes, content_type: HeaderValue) -> Answer {
        let mut answer = answer(self.status, body);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(wait) = self.retry_after {
            let secs = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(secs.max(1)));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, self.scheme());
        }
        answer
    }
}

impl Problem {
    /// The `WWW-Authenticate` that a 401 must have (RFC 9110 section 15.5.2, RFC 6750 section 3).
    /// Browsers open no password prompt for these schemes.
    const fn scheme(&self) -> HeaderValue {
        HeaderValue::from_static(match self.kind {
            FailureKind::BearerRequired => "Bearer",
            FailureKind::BearerRefused | FailureKind::IdTokenRefused => {
                "Bearer error=\"invalid_token\""
            }
            _ => "Webflow realm=\"webflow\"",
        })
    }
}

/// Marks a handler's response that is a problem as JSON. If a browser will show it, the layer sends
/// the page instead.
#[derive(Debug, Clone)]
pub struct HasPage(pub Arc<Problem>);

impl HasPage {
    /// The page that replaces the response, unless another layer has changed the response.
    pub fn page_for<B>(&self, response: &Response<B>) -> Option<Answer> {
        let json = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == PROBLEM_JSON);
        (json && response.status() == self.0.status).then(|| self.0.page(false))
    }
}

/// A response with the headers that all responses of this crate carry.
pub fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    guard_headers(answer.headers_mut());
    answer
}

/// Disables caching, `Referer` and content sniffing.
pub fn guard_headers(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

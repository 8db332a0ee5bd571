//! Answers that are not what was asked for: as a page for browsers, else as `problem+json`.

pub(crate) mod failure;
mod page;
pub(crate) mod refusal;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

/// An answer of the crate's own, before it takes the application's body type.
pub(crate) type Answer = Response<Bytes>;

/// What went wrong, in words for the user of the application (RFC 9457).
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The end of the problem's type, a URN.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: Cow<'static, str>,
    /// Where the way on begins.
    pub(crate) login_url: Option<String>,
    /// What the link to it says.
    pub(crate) way_on: &'static str,
    /// Whether the page's own address is the way on where there is no `login_url`.
    pub(crate) retry_here: bool,
    /// What may have led here, each with its remedy: on the page in place of the detail.
    pub(crate) causes: &'static [(&'static str, &'static str)],
    pub(crate) retry_after: Option<Duration>,
    /// The scopes that are lacking.
    pub(crate) missing_scopes: Option<String>,
}

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
    pub(crate) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into(),
            login_url: None,
            way_on: "Try again",
            retry_here: false,
            causes: &[],
            retry_after: None,
            missing_scopes: None,
        }
    }

    pub(crate) fn login_url(mut self, url: impl Into<String>) -> Self {
        self.login_url = Some(url.into());
        self
    }

    pub(crate) const fn way_on(mut self, words: &'static str) -> Self {
        self.way_on = words;
        self
    }

    pub(crate) const fn retry_here(mut self, yes: bool) -> Self {
        self.retry_here = yes;
        self
    }

    pub(crate) const fn causes(mut self, causes: &'static [(&'static str, &'static str)]) -> Self {
        self.causes = causes;
        self
    }

    pub(crate) const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The answer, as a page when `html` is wanted.
    pub(crate) fn respond(&self, html: bool) -> Answer {
        let mut answer = if html {
            let mut answer = answer(self.status, page::problem(self).into_string());
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, page::policy());
            answer
        } else {
            let json = Json {
                r#type: format!("urn:tower-webflow-auth:{}", self.slug),
                title: self.title,
                status: self.status.as_u16(),
                detail: &self.detail,
                login_url: self.login_url.as_deref(),
                missing_scopes: self.missing_scopes.as_deref(),
            };
            let mut answer = answer(self.status, serde_json::to_vec(&json).unwrap_or_default());
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            answer
        };
        if let Some(wait) = self.retry_after {
            let secs = HeaderValue::from(wait.as_secs().max(1));
            answer.headers_mut().insert(RETRY_AFTER, secs);
        }
        answer
    }
}

/// An answer with the headers that all of the crate's own answers carry.
pub(crate) fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    guard(answer.headers_mut());
    answer
}

/// Keeps an answer out of caches, its address out of `Referer`, and its type as declared.
pub(crate) fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

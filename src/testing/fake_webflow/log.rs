//! The requests that the fake Webflow received.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use url::form_urlencoded;

/// A request that the fake Webflow received.
///
/// `Debug` prints the names of parameters and headers but no values, which contain codes, tokens
/// and the client secret.
///
/// ```
/// # #[tokio::main] async fn main() {
/// use tower_webflow_auth::{Scope, WebflowToken, testing::FakeWebflow};
///
/// let webflow = FakeWebflow::start().await;
/// let token = WebflowToken::for_test([Scope::SITES_READ]).webflow(&webflow).build();
/// token.api().sites().await.unwrap();
/// let asked = webflow.requests_to("/v2/sites");
/// assert!(asked[0].header("authorization").is_some_and(|it| it.starts_with("Bearer ")));
/// # }
/// ```
#[derive(Clone)]
pub struct RecordedRequest {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl RecordedRequest {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        Self {
            query: pairs(query.as_bytes()),
            path: parts.uri.path().to_owned(),
            method: parts.method,
            headers: parts.headers,
            body,
        }
    }

    /// Returns the method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path as sent, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the decoded query parameters in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns a header's value, or `None` if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as JSON, or `None` if it is not JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The decoded fields of a form body, in order.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    /// Whether the body has this media type, ignoring parameters.
    pub(super) fn has_media_type(&self, media_type: &str) -> bool {
        self.header("content-type").is_some_and(|value| {
            let declared = value.split(';').next().unwrap_or_default();
            declared.trim().eq_ignore_ascii_case(media_type)
        })
    }

    /// The token of `Authorization: Bearer`, RFC 6750 section 2.1.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &query)
            .field("headers", &headers)
            .field("body_len", &self.body.len())
            .finish()
    }
}

pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// The latest requests; bounded, for servers that run for days.
#[derive(Default)]
pub struct Log(VecDeque<RecordedRequest>);

impl Log {
    pub const CAPACITY: usize = 10_000;

    pub fn push(&mut self, request: RecordedRequest) {
        if self.0.len() == Self::CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub fn iter(&self) -> impl Iterator<Item = &RecordedRequest> {
        self.0.iter()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &'static str) -> RecordedRequest {
        let mut request = http::Request::post("/oauth/access_token?code=c0de+1&code=2");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        RecordedRequest::new(parts, Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn debug_has_names_but_no_values() {
        let request = request(&[("authorization", "Bearer t0ken")], "s3cret");
        let debug = format!("{request:?}");
        for secret in ["c0de", "t0ken", "s3cret"] {
            assert!(!debug.contains(secret), "{debug}");
        }
        assert!(debug.contains("/oauth/access_token") && debug.contains("authorization"));
    }

    #[test]
    fn the_query_is_decoded_and_keeps_doubles() {
        let query = request(&[], "").query;
        assert_eq!(query, [("code", "c0de 1"), ("code", "2")].map(|(n, v)| (n.into(), v.into())));
    }

    #[test]
    fn the_media_type_is_compared_without_its_parameters() {
        for (value, is_json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json+ld", false),
            ("text/plain", false),
        ] {
            let request = request(&[("content-type", value)], "");
            assert_eq!(request.has_media_type("application/json"), is_json);
        }
        assert!(!request(&[], "").has_media_type("application/json"));
    }
}

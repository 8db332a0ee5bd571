//! One request to Webflow's authorization server and its bounded response.

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use url::Url;
use zeroize::{Zeroize, Zeroizing};

use super::send_twice;

/// Maximum response length; real ones have a few hundred bytes.
const MAX_BODY_LEN: usize = 64 * 1024;

/// Initial buffer for a response without `Content-Length`.
const USUAL_BODY_LEN: usize = 4096;

/// Maximum request length: a code or token of up to 4 KiB, plus the client's credentials.
const MAX_REQUEST_LEN: usize = 16 * 1024;

/// Why there is no usable response. Never contains a response body, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("Webflow did not answer in time")]
    Timeout,
    #[error("Webflow cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("Webflow's response is longer than {MAX_BODY_LEN} bytes")]
    TooLong,
}

impl CallError {
    fn from_transport(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::Unreachable(error.without_url()) }
    }
}

/// A response from Webflow, with any status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

/// Builds a JSON POST that contains the client secret. The JSON is wiped from memory after sending.
pub(super) fn post(
    http: &reqwest::Client,
    to: &Url,
    body: &impl Serialize,
) -> reqwest::RequestBuilder {
    // Allocate the maximum: a growing buffer leaves copies of the secret behind.
    let mut json = Zeroizing::new(Vec::with_capacity(MAX_REQUEST_LEN));
    let request = http.post(to.clone()).header(CONTENT_TYPE, "application/json");
    match serde_json::to_writer(&mut *json, body) {
        Ok(()) => request.body(Bytes::from_owner(json)),
        // Strings always serialize; otherwise reqwest reports the error on sending.
        Err(_) => request.json(body),
    }
}

/// Sends the request and reads the response within `budget`.
pub(super) async fn call(
    request: reqwest::RequestBuilder,
    budget: Duration,
) -> Result<Reply, CallError> {
    tokio::time::timeout(budget, read(request)).await.unwrap_or(Err(CallError::Timeout))
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, CallError> {
    // Safe to repeat: a code works once, introspection has no effect, and revocation is idempotent.
    let mut response = send_twice(request).await.map_err(CallError::from_transport)?;
    // Allocate once, as in `post`.
    let expected = response.content_length().and_then(|len| usize::try_from(len).ok());
    let room = expected.unwrap_or(USUAL_BODY_LEN).min(MAX_BODY_LEN);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = response.chunk().await.map_err(CallError::from_transport)? {
        if body.len() + chunk.len() > MAX_BODY_LEN {
            return Err(CallError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
}

/// JSON whose strings are wiped on drop, because one of them may be a token.
pub(super) struct SecretJson(Value);

impl Deref for SecretJson {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Reply {
    #[cfg(any(test, feature = "_fuzzing"))]
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Self {
        Self { status, headers, body: Zeroizing::new(body.to_vec()) }
    }

    pub(super) fn json(&self) -> Option<SecretJson> {
        serde_json::from_slice(&self.body).ok().map(SecretJson)
    }

    /// The error code of a response: `error` (RFC 6749 section 5.2), the Data API's `code`, or a
    /// known code in plain text. Webflow does not document the format, and all three occur.
    pub(super) fn error_code(&self) -> Option<String> {
        let known = |text: &str| KNOWN_CODES.iter().find(|code| text.contains(*code));
        let from_json = self.json().and_then(|body| {
            let field = |name| body.get(name).and_then(Value::as_str).filter(|it| is_code(it));
            field("error").or_else(|| field("code")).map(str::to_owned)
        });
        let in_text = std::str::from_utf8(&self.body).ok().and_then(known);
        match (from_json, in_text) {
            (Some(code), _) if known(&code).is_some() => Some(code),
            (_, Some(code)) => Some((*code).to_owned()),
            (code, None) => code,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

const KNOWN_CODES: [&str; 4] =
    ["invalid_grant", "invalid_client", "invalid_token", "invalid_request"];

/// Only the characters of an error code, so that nothing else from a body reaches a log.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3), the form that Webflow uses.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let secs = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(body: &str) -> Option<String> {
        Reply::new(StatusCode::BAD_REQUEST, HeaderMap::new(), body.as_bytes()).error_code()
    }

    #[test]
    fn the_error_code_is_found_in_all_three_shapes() {
        let found = |body| code_of(body).unwrap();
        assert_eq!(found(r#"{"error":"invalid_grant","error_description":"x"}"#), "invalid_grant");
        assert_eq!(found(r#"{"code":"bad_request","message":"no"}"#), "bad_request");
        assert_eq!(found(r#"{"code":"bad_request","message":"invalid_grant"}"#), "invalid_grant");
        assert_eq!(found("Error: invalid_client"), "invalid_client");
        assert_eq!(code_of("<html>no</html>"), None);
        assert_eq!(code_of(r#"{"error":"<script>"}"#), None);
        assert_eq!(code_of(r#"{"error":{"a":1}}"#), None);
    }
}

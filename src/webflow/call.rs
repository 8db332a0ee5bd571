//! One request to Webflow's authorization server and its bounded response.

use std::ops::Deref;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use zeroize::{Zeroize, Zeroizing};

use super::send_twice;

/// Maximum response length; real ones have a few hundred bytes.
pub const MAX_BODY_LEN: usize = 64 * 1024;

/// Initial buffer for a response without `Content-Length`.
const USUAL_BODY_LEN: usize = 4096;

/// Maximum request length: a code or token of up to 4 KiB, plus the client's credentials.
const MAX_REQUEST_LEN: usize = 16 * 1024;

/// Why there is no usable response. Never contains a response body, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("Webflow did not answer in time")]
    Timeout,
    #[error("Webflow cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("Webflow's response is longer than {0} bytes")]
    TooLong(usize),
}

impl CallError {
    fn from_transport(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::Unreachable(error.without_url()) }
    }
}

/// A response from Webflow, with any status.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

/// Builds a JSON POST that contains the client secret. The JSON is wiped from memory after sending.
pub fn post(http: &reqwest::Client, to: &Url, body: &impl Serialize) -> reqwest::RequestBuilder {
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
pub async fn call(request: reqwest::RequestBuilder, budget: Duration) -> Result<Reply, CallError> {
    call_up_to(request, budget, MAX_BODY_LEN).await
}

/// Like [`call`], with another limit for the response.
pub async fn call_up_to(
    request: reqwest::RequestBuilder,
    budget: Duration,
    longest: usize,
) -> Result<Reply, CallError> {
    let read = read(request, longest);
    tokio::time::timeout(budget, read).await.unwrap_or(Err(CallError::Timeout))
}

async fn read(request: reqwest::RequestBuilder, longest: usize) -> Result<Reply, CallError> {
    // Safe to repeat: a code works once, introspection has no effect, and revocation is idempotent.
    let mut response = send_twice(request).await.map_err(CallError::from_transport)?;
    // Allocate once, as in `post`.
    let expected = response.content_length().and_then(|len| usize::try_from(len).ok());
    let room = expected.unwrap_or(USUAL_BODY_LEN).min(longest);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = response.chunk().await.map_err(CallError::from_transport)? {
        if body.len() + chunk.len() > longest {
            return Err(CallError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
}

/// JSON whose strings are wiped on drop, because one of them may be a token.
pub struct SecretJson(Value);

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
    pub fn new(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Self {
        Self { status, headers, body: Zeroizing::new(body.to_vec()) }
    }

    pub fn json(&self) -> Option<SecretJson> {
        serde_json::from_slice(&self.body).ok().map(SecretJson)
    }

    /// The body as a type that holds no secret.
    pub fn json_as<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The error code of a response: `error` (RFC 6749 section 5.2), the Data API's `code`, or a
    /// known code in plain text. Webflow does not document the format, and all three occur.
    pub fn error_code(&self) -> Option<String> {
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

    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, SystemTime::now())
    }
}

const KNOWN_CODES: [&str; 4] =
    ["invalid_grant", "invalid_client", "invalid_token", "invalid_request"];

/// Only the characters of an error code, so that nothing else from a body reaches a log.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// How long a response asks to wait: `Retry-After` in (fractional) seconds or as a date (RFC 9110
/// section 10.2.3), else `X-RateLimit-Reset` in Unix seconds. Both official SDKs read these.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let until = |at: SystemTime| at.duration_since(now).unwrap_or_default();
    let asked = text(RETRY_AFTER).and_then(|value| {
        seconds(value).or_else(|| httpdate::parse_http_date(value).ok().map(until))
    });
    asked.or_else(|| {
        let reset = SystemTime::UNIX_EPOCH.checked_add(seconds(text(RATE_LIMIT_RESET)?)?)?;
        Some(until(reset))
    })
}

const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A decimal number of seconds; without a sign, an exponent or a unit.
fn seconds(text: &str) -> Option<Duration> {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_decimal || text.is_empty() {
        return None;
    }
    // Parse whole numbers without the precision loss of a float.
    let whole = text.parse().ok().map(Duration::from_secs);
    whole.or_else(|| Duration::try_from_secs_f64(text.parse().ok()?).ok())
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

    #[test]
    fn w9_the_wait_is_in_seconds_a_fraction_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |retry_after: &str, reset: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(RETRY_AFTER, retry_after), (RATE_LIMIT_RESET, reset)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            super::retry_after(&headers, now).map(|wait| wait.as_secs_f64())
        };
        for (retry_after, reset, expected) in [
            ("60", "", Some(60.0)),
            (" 0 ", "", Some(0.0)),
            ("0.5", "", Some(0.5)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", "", Some(10.0)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", "", Some(0.0)),
            ("2", "784111779.5", Some(2.0)),
            ("soon", "784111779.5", Some(2.5)),
            ("", "784111807", Some(30.0)),
            ("", "784111000", Some(0.0)),
            ("-1", "", None),
            ("1e3", "", None),
            ("NaN", "", None),
            (".", "", None),
            ("", "", None),
        ] {
            assert_eq!(wait(retry_after, reset), expected, "{retry_after:?} {reset:?}");
        }
        assert!(wait("18446744073709551615", "").is_some_and(|wait| wait > 1e19));
        assert_eq!(wait("", "18446744073709551615"), None);
    }
}

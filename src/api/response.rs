//! Successful responses, and how their bodies are read.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ApiBody, ApiError};

/// The longest body of a successful response that is read into memory.
const MAX_BODY_LEN: usize = 32 * 1024 * 1024;

/// The longest body of an error response that is read.
const MAX_ERROR_LEN: usize = 64 * 1024;

/// A successful response of Webflow's Data API.
///
/// The body is read by [`json`](Self::json), [`text`](Self::text) or [`bytes`](Self::bytes),
/// within the time allowed for the whole call and up to 32 MiB.
///
/// ```no_run
/// use serde_json::Value;
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn sites(token: WebflowToken) -> Result<Value, ApiError> {
///     let response = token.api().get("/v2/sites").send().await?;
///     if response.rate_limit().is_some_and(|limit| limit.remaining < 5) {
///         println!("slow down");
///     }
///     response.json().await
/// }
/// ```
pub struct ApiResponse {
    inner: Response<ApiBody>,
}

/// How many calls the token has left in the current minute.
///
/// Source: Webflow Data API, *Rate Limits*: the headers `X-RateLimit-Limit` and
/// `X-RateLimit-Remaining`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RateLimit {
    /// Calls allowed per minute.
    pub limit: u32,
    /// Calls left.
    pub remaining: u32,
}

impl ApiResponse {
    pub(super) const fn new(inner: Response<ApiBody>) -> Self {
        Self { inner }
    }

    /// The status, between 200 and 299.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The rate limit that the response reports, if any.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        let number = |name| self.headers().get(name)?.to_str().ok()?.trim().parse().ok();
        Some(RateLimit {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
        })
    }

    /// Deserializes the body from JSON. A 204 (No Content) is read as `null`, that is `()` or
    /// `None`.
    ///
    /// # Errors
    /// [`ApiError::Decode`] when the body is not the JSON that `T` expects, and the errors of
    /// [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let empty = self.status() == StatusCode::NO_CONTENT;
        let body = self.bytes().await?;
        let json: &[u8] = if empty { b"null" } else { &body };
        serde_json::from_slice(json).map_err(ApiError::Decode)
    }

    /// Deserializes the body of an error response, up to [`MAX_ERROR_LEN`].
    pub(super) async fn error_body<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.read(MAX_ERROR_LEN).await?).map_err(ApiError::Decode)
    }

    /// Reads the body as text. Invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, ApiError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// Reads the body as bytes.
    ///
    /// # Errors
    /// [`ApiError::Timeout`], [`ApiError::TooLong`], or [`ApiError::Unreachable`] when the
    /// connection breaks.
    pub async fn bytes(self) -> Result<Bytes, ApiError> {
        self.read(MAX_BODY_LEN).await
    }

    async fn read(mut self, longest: usize) -> Result<Bytes, ApiError> {
        let mut body = BytesMut::new();
        while let Some(frame) = self.inner.frame().await {
            let Ok(chunk) = frame?.into_data() else { continue };
            if body.len() + chunk.len() > longest {
                return Err(ApiError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").field("status", &self.status()).finish_non_exhaustive()
    }
}

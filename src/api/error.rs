//! What can go wrong with a call.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::ApiResponse;
use crate::WebflowToken;
use crate::webflow::retry_after;

/// Why a call to Webflow's Data API has no usable answer.
///
/// Handlers may return it: with axum it becomes a `problem+json` answer (see
/// [`status`](Self::status)), and [`Unauthorized`](Self::Unauthorized) makes the layer forget the
/// dead token and ask the user for a new one.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// /// The number of sites; 0 when the token may not list them.
/// async fn count(token: WebflowToken) -> Result<usize, ApiError> {
///     match token.api().sites().await {
///         Ok(sites) => Ok(sites.len()),
///         Err(ApiError::Forbidden { body }) if body.code == "missing_scopes" => Ok(0),
///         Err(error) => Err(error), // a 401 asks the user again, the rest is a problem+json
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// 401: the token was revoked, has expired, or never was one.
    #[error("Webflow does not accept the access token any more (401)")]
    Unauthorized {
        /// The token, now marked as dead.
        token: WebflowToken,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// 403: the token lacks a scope, or its user a right.
    #[error("Webflow forbids this call ({body})")]
    Forbidden {
        /// What Webflow said; the code `missing_scopes` tells that a scope is lacking.
        body: WebflowErrorBody,
    },
    /// 429: too many calls in this minute.
    #[error("Webflow's rate limit is used up (429)")]
    RateLimited {
        /// How long to wait, if Webflow said so.
        retry_after: Option<Duration>,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// Any other answer that is not a success.
    #[error("Webflow answered with status {status} ({body})")]
    Status {
        /// The status of Webflow's answer.
        status: StatusCode,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// No answer, or only a part of it, within the time allowed.
    #[error("Webflow did not answer in time")]
    Timeout,
    /// No connection, or one that broke.
    #[error("Webflow cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The body is longer than 32 MiB.
    #[error("Webflow's answer is too long")]
    TooLong,
    /// The body is not the JSON that the caller expects.
    #[error("Webflow's answer is not the JSON expected")]
    Decode(#[source] serde_json::Error),
    /// The request cannot be sent; a mistake of the caller's.
    #[error("the request cannot be sent: {0}")]
    InvalidRequest(Cow<'static, str>),
}

/// The body of an error answer (Webflow Data API, *Error Handling*).
///
/// Every field is empty when Webflow's answer does not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebflowErrorBody {
    /// A code such as `missing_scopes`.
    #[serde(deserialize_with = "text")]
    pub code: String,
    /// A sentence for developers.
    #[serde(deserialize_with = "text")]
    pub message: String,
    /// Where Webflow says more about it.
    #[serde(deserialize_with = "text")]
    pub external_reference: String,
    /// More about single fields.
    pub details: Value,
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

impl std::fmt::Display for WebflowErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_unknown = |text: &str| {
            if text.is_empty() { "no code".into() } else { text.to_owned() }
        };
        write!(f, "{}", or_unknown(&self.code))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl ApiError {
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_builder() {
            Self::InvalidRequest(error.without_url().to_string().into())
        } else {
            Self::Unreachable(error.without_url())
        }
    }

    pub(super) async fn from_answer(answer: ApiResponse, token: &WebflowToken) -> Self {
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        // A body that cannot be read says less; the status already decides what went wrong.
        let body: WebflowErrorBody = answer.json().await.unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED => {
                token.mark_dead();
                Self::Unauthorized { token: token.clone(), body }
            }
            StatusCode::FORBIDDEN => {
                if body.code == "missing_scopes" {
                    token.mark_outdated();
                }
                Self::Forbidden { body }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { retry_after, body },
            status => Self::Status { status, body },
        }
    }

    /// The status of the answer that a handler gives when it returns this error.
    ///
    /// 401 for a dead token, 403 and 429 as Webflow says, 504 for a timeout, 500 for a request
    /// that cannot be sent, and 502 for everything else: what Webflow refuses for reasons of its
    /// own is not the fault of the application's client.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::InvalidRequest(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Status { .. } | Self::Unreachable(_) | Self::TooLong | Self::Decode(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "token-refused",
            Self::Forbidden { .. } => "webflow-forbids",
            Self::RateLimited { .. } => "webflow-rate-limit",
            Self::Timeout => "webflow-timeout",
            Self::Unreachable(_) => "webflow-unreachable",
            Self::InvalidRequest(_) => "invalid-request",
            Self::Status { .. } | Self::TooLong | Self::Decode(_) => "webflow-error",
        }
    }

    /// What Webflow said, when it answered at all.
    pub const fn webflow(&self) -> Option<&WebflowErrorBody> {
        match self {
            Self::Unauthorized { body, .. }
            | Self::Forbidden { body }
            | Self::RateLimited { body, .. }
            | Self::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// Whether the call may work when it is made again later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Timeout | Self::Unreachable(_) => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_may_lack_fields_or_have_others() {
        let body: WebflowErrorBody =
            serde_json::from_str(r#"{"code": 400, "message": null, "x": 1}"#).unwrap();
        assert_eq!((body.code.as_str(), body.message.as_str()), ("400", ""));
        assert_eq!(WebflowErrorBody::default().to_string(), "no code");
    }
}

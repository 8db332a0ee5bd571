//! Errors of calls, and Webflow's error bodies.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::confirm::Life;
use super::{ApiBody, ApiResponse};
use crate::grant::token::WebflowToken;
#[cfg(feature = "axum")]
use crate::problem::FailureKind;
use crate::webflow::retry_after;

/// Why a call to Webflow's Data API failed.
///
/// Handlers may return it: with axum it becomes a `problem+json` response with the status
/// [`status`](Self::status). [`Unauthorized`](Self::Unauthorized) also makes the layer remove the
/// dead token and send the user to Webflow for a new one. The other variants keep the grant.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// /// The number of sites; 0 when the token may not list them.
/// async fn count(token: WebflowToken) -> Result<usize, ApiError> {
///     match token.api().sites().await {
///         Ok(sites) => Ok(sites.len()),
///         Err(ApiError::Forbidden { body, .. }) if body.code == "missing_scopes" => Ok(0),
///         Err(error) => Err(error), // a dead token sends the user to Webflow
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// 401, confirmed by introspection: the token was revoked, has expired, or was never valid.
    #[error("Webflow no longer accepts the access token (401)")]
    #[non_exhaustive]
    Unauthorized {
        /// The token, now marked as dead.
        token: WebflowToken,
        /// Webflow's error body.
        body: WebflowErrorBody,
    },
    /// 401, but introspection did not find the token invalid. Most likely the token has no access
    /// to the resource, for example to another user's site. The grant is kept.
    #[error("the token has no access to this resource ({body})")]
    #[non_exhaustive]
    NoAccess {
        /// Whether introspection confirmed that the token is valid; false if it failed.
        confirmed: bool,
        /// Webflow's error body.
        body: WebflowErrorBody,
    },
    /// 403: the token lacks a scope, or its user lacks a permission.
    #[error("Webflow forbids this call ({body})")]
    #[non_exhaustive]
    Forbidden {
        /// Webflow's error body. Its code is `missing_scopes` if the token lacks a scope.
        body: WebflowErrorBody,
    },
    /// 429: too many calls in this minute.
    #[error("Webflow's rate limit is exhausted (429)")]
    #[non_exhaustive]
    RateLimited {
        /// How long to wait, if Webflow named a time.
        retry_after: Option<Duration>,
        /// Webflow's error body.
        body: WebflowErrorBody,
    },
    /// Any other response that is not 2xx.
    #[error("Webflow responded with status {status} ({body})")]
    #[non_exhaustive]
    Status {
        /// The status of Webflow's response.
        status: StatusCode,
        /// Webflow's error body.
        body: WebflowErrorBody,
    },
    /// No response, or only part of one, within the time limit.
    #[error("Webflow did not answer in time")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("Webflow cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The body is longer than 32 MiB.
    #[error("Webflow's response is too long")]
    TooLong,
    /// The body is not the JSON that the caller expects.
    #[error("Webflow's response is not the expected JSON")]
    Decode(#[source] serde_json::Error),
    /// The request cannot be sent: a mistake in the calling code.
    #[error("the request cannot be sent: {0}")]
    InvalidRequest(Cow<'static, str>),
}

/// The body of an error response (Webflow Data API, *Error Handling*).
///
/// Fields that Webflow omits are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebflowErrorBody {
    /// A code such as `missing_scopes`.
    #[serde(deserialize_with = "text")]
    pub code: String,
    /// An explanation for developers.
    #[serde(deserialize_with = "text")]
    pub message: String,
    /// A link to more information.
    #[serde(deserialize_with = "text")]
    pub external_reference: String,
    /// Details, for example about individual fields.
    pub details: Value,
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// Code and message on one line, at most 200 characters each, since errors end up in logs.
impl std::fmt::Display for WebflowErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.code.is_empty() {
            f.write_str("no code")?;
        } else {
            one_line(&self.code, f)?;
        }
        if self.message.is_empty() {
            return Ok(());
        }
        f.write_str(": ")?;
        one_line(&self.message, f)
    }
}

fn one_line(text: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(200).try_for_each(|c| f.write_char(c))
}

impl WebflowErrorBody {
    /// Redacts `secret` in every text, in case the server echoes the request.
    pub(crate) fn without(mut self, secret: &str) -> Self {
        for text in [&mut self.code, &mut self.message, &mut self.external_reference] {
            hide(text, secret);
        }
        hide_in(&mut self.details, secret);
        self
    }
}

fn hide(text: &mut String, secret: &str) {
    if !secret.is_empty() && text.contains(secret) {
        *text = text.replace(secret, "[the access token]");
    }
}

fn hide_in(value: &mut Value, secret: &str) {
    match value {
        Value::String(text) => hide(text, secret),
        Value::Array(list) => list.iter_mut().for_each(|value| hide_in(value, secret)),
        Value::Object(fields) => {
            let mut hidden = serde_json::Map::new();
            for (mut name, mut value) in std::mem::take(fields) {
                hide(&mut name, secret);
                hide_in(&mut value, secret);
                hidden.insert(name, value);
            }
            *fields = hidden;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The error for a response that is neither 2xx nor 401. `secret` is redacted in its body.
pub async fn status_error(answer: ApiResponse, secret: &str, now: SystemTime) -> ApiError {
    let status = answer.status();
    let retry_after = retry_after(answer.headers(), now);
    let body: WebflowErrorBody = answer.error_body().await.unwrap_or_default();
    let body = body.without(secret);
    match status {
        StatusCode::FORBIDDEN => ApiError::Forbidden { body },
        StatusCode::TOO_MANY_REQUESTS => ApiError::RateLimited { retry_after, body },
        status => ApiError::Status { status, body },
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

    pub(super) async fn from_answer(
        answer: Response<ApiBody>,
        token: &WebflowToken,
        retry_after: Option<Duration>,
    ) -> Self {
        let status = answer.status();
        let life = answer.extensions().get::<Life>().copied();
        // An unreadable body counts as empty: the status alone decides the variant.
        let answer = ApiResponse::new(answer);
        let body: WebflowErrorBody = answer.error_body().await.unwrap_or_default();
        let body = body.without(token.access_token().expose_secret());
        match status {
            StatusCode::UNAUTHORIZED => {
                if life == Some(Life::Dead) {
                    return Self::Unauthorized { token: token.clone(), body };
                }
                Self::NoAccess { confirmed: life == Some(Life::Alive), body }
            }
            StatusCode::FORBIDDEN => {
                if body.code == "missing_scopes" {
                    token.state().mark_outdated();
                }
                Self::Forbidden { body }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { retry_after, body },
            status => Self::Status { status, body },
        }
    }

    /// The status of the response when a handler returns this error.
    ///
    /// - 401 for a dead token, and 403 for a token without access.
    /// - 403, 404 and 429 as Webflow answered.
    /// - 504 for a timeout, and 400 for a request that cannot be sent.
    /// - 502 for everything else, since the application's client is not to blame.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::NoAccess { .. } | Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::Status { status, .. } if status.as_u16() == 404 => StatusCode::NOT_FOUND,
            Self::Status { .. } | Self::Unreachable(_) | Self::TooLong | Self::Decode(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) const fn kind(&self) -> FailureKind {
        match self {
            Self::Unauthorized { .. } => FailureKind::TokenRefused,
            Self::NoAccess { .. } | Self::Forbidden { .. } => FailureKind::WebflowForbids,
            Self::RateLimited { .. } => FailureKind::WebflowRateLimit,
            Self::Timeout => FailureKind::WebflowTimeout,
            Self::Unreachable(_) => FailureKind::WebflowUnreachable,
            Self::InvalidRequest(_) => FailureKind::InvalidRequest,
            Self::Status { .. } | Self::TooLong | Self::Decode(_) => FailureKind::WebflowError,
        }
    }

    /// Webflow's error body, if Webflow responded with an error.
    pub const fn webflow(&self) -> Option<&WebflowErrorBody> {
        match self {
            Self::Unauthorized { body, .. }
            | Self::NoAccess { body, .. }
            | Self::Forbidden { body }
            | Self::RateLimited { body, .. }
            | Self::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Timeout | Self::Unreachable(_) => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::NoAccess { confirmed, .. } => !confirmed,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_body_tolerates_missing_and_unknown_fields() {
        let body: WebflowErrorBody =
            serde_json::from_str(r#"{"code": 400, "message": null, "x": 1}"#).unwrap();
        assert_eq!((body.code.as_str(), body.message.as_str()), ("400", ""));
        assert_eq!(WebflowErrorBody::default().to_string(), "no code");
    }

    #[test]
    fn o5_an_echoed_token_is_redacted() {
        let text = r#"{"code": "tkn9", "message": "tkn9 and tkn9", "externalReference": "?tkn9",
            "details": ["tkn9", {"tkn9": {"a": "tkn9"}}, 9]}"#;
        let body: WebflowErrorBody = serde_json::from_str(text).unwrap();
        let body = body.without("tkn9");
        assert!(!format!("{body} {body:?}").contains("tkn9"), "{body:?}");
        assert_eq!(body.details[2], 9);
    }

    #[test]
    fn o5_an_error_shows_webflows_message_as_one_short_line() {
        let message = format!("a\nforged line\r\n\u{1b}[2J{}", "x".repeat(1000));
        let body = WebflowErrorBody { code: "c\n".repeat(500), message, ..Default::default() };
        let text = ApiError::Forbidden { body }.to_string();
        assert!(text.len() < 500 && !text.contains(char::is_control), "{text}");
    }
}

//! What can go wrong with a call.

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

/// Why a call to Webflow's Data API has no usable answer.
///
/// Handlers may return it: with axum it becomes a `problem+json` answer (see
/// [`status`](Self::status)), and [`Unauthorized`](Self::Unauthorized) makes the layer forget the
/// dead token and ask the user for a new one. The other variants leave the grant as it is.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// /// The number of sites; 0 when the token may not list them.
/// async fn count(token: WebflowToken) -> Result<usize, ApiError> {
///     match token.api().sites().await {
///         Ok(sites) => Ok(sites.len()),
///         Err(ApiError::Forbidden { body, .. }) if body.code == "missing_scopes" => Ok(0),
///         Err(error) => Err(error), // a 401 asks the user again, the rest is a problem+json
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// 401, confirmed by introspection: the token was revoked, has expired, or was never valid.
    #[error("Webflow does not accept the access token any more (401)")]
    #[non_exhaustive]
    Unauthorized {
        /// The token, now marked as dead.
        token: WebflowToken,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// 401, but introspection did not say that the token is invalid. Most likely the token has no
    /// access to the resource, for example to another user's site. The grant is kept.
    #[error("the token has no access to this resource ({body})")]
    #[non_exhaustive]
    NoAccess {
        /// Whether introspection confirmed that the token is valid; false if it failed.
        confirmed: bool,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// 403: the token lacks a scope, or its user a right.
    #[error("Webflow forbids this call ({body})")]
    #[non_exhaustive]
    Forbidden {
        /// What Webflow said; the code `missing_scopes` tells that a scope is lacking.
        body: WebflowErrorBody,
    },
    /// 429: too many calls in this minute.
    #[error("Webflow's rate limit is used up (429)")]
    #[non_exhaustive]
    RateLimited {
        /// How long to wait, if Webflow said so.
        retry_after: Option<Duration>,
        /// What Webflow said.
        body: WebflowErrorBody,
    },
    /// Any other answer that is not a success.
    #[error("Webflow answered with status {status} ({body})")]
    #[non_exhaustive]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
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

/// Code and message, in one line and up to 200 characters each: errors end up in logs.
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
    /// Takes a secret out of every text, in case what answers shows the request that it got.
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

/// The error of an answer that is neither a success nor 401. The secret is taken out of the body.
pub async fn of_status(answer: ApiResponse, secret: &str, now: SystemTime) -> ApiError {
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
        // A body that cannot be read says less; the status already decides what went wrong.
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

    /// The status of the answer that a handler gives when it returns this error.
    ///
    /// 401 for a dead token, 403 for no access, 403, 404 and 429 as Webflow says, 504 for a
    /// timeout, 400 for a request that cannot be sent, and 502 for everything else: what Webflow
    /// refuses for reasons of its own is not the fault of the application's client.
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

    /// What Webflow said, when it answered at all.
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

    /// Whether the call may work when it is made again later.
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
    fn an_error_body_may_lack_fields_or_have_others() {
        let body: WebflowErrorBody =
            serde_json::from_str(r#"{"code": 400, "message": null, "x": 1}"#).unwrap();
        assert_eq!((body.code.as_str(), body.message.as_str()), ("400", ""));
        assert_eq!(WebflowErrorBody::default().to_string(), "no code");
    }

    #[test]
    fn o5_an_answer_that_shows_the_token_is_not_repeated() {
        let text = r#"{"code": "tkn9", "message": "tkn9 and tkn9", "externalReference": "?tkn9",
            "details": ["tkn9", {"tkn9": {"a": "tkn9"}}, 9]}"#;
        let body: WebflowErrorBody = serde_json::from_str(text).unwrap();
        let body = body.without("tkn9");
        assert!(!format!("{body} {body:?}").contains("tkn9"), "{body:?}");
        assert_eq!(body.details[2], 9);
    }

    #[test]
    fn o5_what_webflow_says_is_one_short_line_in_an_error() {
        let message = format!("a\nforged line\r\n\u{1b}[2J{}", "x".repeat(1000));
        let body = WebflowErrorBody { code: "c\n".repeat(500), message, ..Default::default() };
        let text = ApiError::Forbidden { body }.to_string();
        assert!(text.len() < 500 && !text.contains(char::is_control), "{text}");
    }
}

//! Why a delivery does not reach the handler, and what it is answered.

use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, StatusCode};

use crate::problem::{Answer, Problem};

/// Why a delivery is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Method,
    /// A header is missing.
    Unsigned,
    /// A header is there twice or ill-formed.
    Malformed,
    /// The timestamp is more than five minutes from now.
    Stale,
    MediaType,
    TooLarge,
    Timeout,
    /// The body broke off.
    Incomplete,
    Forged,
    NotJson,
    /// Too many deliveries are being handled.
    Busy,
}

impl Refusal {
    /// Logs the reason, which no answer shows.
    pub(super) fn log(self) {
        let reason = match self {
            Self::Method => return,
            Self::Busy => {
                tracing::warn!("too many webhook deliveries at the same time: one was turned away");
                return;
            }
            Self::Forged => {
                tracing::warn!(
                    reason = "forged",
                    "webhook refused: no configured secret made its signature; if the delivery is \
                     Webflow's, the secret is another one, or a proxy, tunnel or middleware in \
                     front re-encodes the body"
                );
                return;
            }
            Self::Unsigned => "unsigned",
            Self::Malformed | Self::Incomplete => "malformed",
            Self::Stale => "stale",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::NotJson => "not_json",
        };
        tracing::warn!(reason, "webhook refused");
    }

    pub(super) fn answer(self) -> Answer {
        let mut answer = self.problem().respond(false);
        if self == Self::Method {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }

    fn problem(self) -> Problem {
        match self {
            Self::Method => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This address does not take that method",
                "Use POST.",
            ),
            Self::Unsigned | Self::Malformed | Self::Stale | Self::Forged => Problem::new(
                StatusCode::UNAUTHORIZED,
                "webhook-refused",
                "The webhook is refused",
                "It is not signed by Webflow for this application, or not just now.",
            ),
            Self::MediaType => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "webhook-media-type",
                "The webhook has another media type",
                "Send application/json without a content encoding.",
            ),
            Self::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "webhook-too-large",
                "The webhook is too large",
                "Its body is longer than this application takes.",
            ),
            Self::Timeout => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "webhook-timeout",
                "The webhook took too long",
                "Its body did not arrive in time.",
            ),
            Self::Incomplete | Self::NotJson => Problem::new(
                StatusCode::BAD_REQUEST,
                "webhook-malformed",
                "The webhook is malformed",
                "Its body is not a JSON object with a triggerType.",
            ),
            Self::Busy => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "webhook-busy",
                "Too many webhooks at the same time",
                "Send it again later.",
            )
            .retry_after(Duration::from_secs(1)),
        }
    }
}

/// The answer to a delivery whose handler panicked.
pub(super) fn panicked() -> Answer {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong",
        "The application failed to handle the webhook.",
    )
    .respond(false)
}

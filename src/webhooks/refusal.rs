//! Why a delivery does not reach the handler, and the response to it.

use crate::problem::{Answer, Problem, catalog};
use crate::util::log;
use crate::wire::body::BodyError;

/// Why a delivery is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Method,
    /// A header is missing.
    Unsigned,
    /// A header is repeated or malformed.
    Malformed,
    /// The timestamp is more than five minutes from now.
    Stale,
    MediaType,
    TooLarge,
    Timeout,
    /// The body ended early.
    Incomplete,
    Forged,
    NotJson,
    /// Too many deliveries are being handled.
    Busy,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Timeout => Self::Timeout,
            BodyError::Incomplete => Self::Incomplete,
        }
    }
}

impl Refusal {
    /// Logs the reason, which the response does not reveal.
    pub fn log(self) {
        let reason = match self {
            Self::Method => return,
            Self::Busy => {
                tracing::warn!(
                    target: log::WEBHOOKS,
                    "too many webhook deliveries at the same time: refused one"
                );
                return;
            }
            Self::Forged => {
                tracing::warn!(
                    target: log::WEBHOOKS,
                    reason = "forged",
                    "webhook refused: its signature matches no configured secret; if Webflow sent \
                     it, its secret is not configured, or a proxy, tunnel or middleware in front \
                     changes the body"
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
        tracing::warn!(target: log::WEBHOOKS, reason, "webhook refused");
    }

    pub fn answer(self) -> Answer {
        self.problem().json()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Method => catalog::method_not_allowed("POST"),
            Self::Unsigned | Self::Malformed | Self::Stale | Self::Forged => {
                catalog::webhook::refused()
            }
            Self::MediaType => catalog::webhook::media_type(),
            Self::TooLarge => catalog::webhook::too_large(),
            Self::Timeout => catalog::webhook::timeout(),
            Self::Incomplete | Self::NotJson => catalog::webhook::malformed(),
            Self::Busy => catalog::webhook::busy(),
        }
    }
}

//! Why a delivery does not reach the handler, and what it is answered.

use crate::problem::{Answer, Problem, catalog};
use crate::util::log;
use crate::wire::body::BodyError;

/// Why a delivery is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
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
    /// Logs the reason, which no answer shows.
    pub fn log(self) {
        let reason = match self {
            Self::Method => return,
            Self::Busy => {
                tracing::warn!(
                    target: log::WEBHOOKS,
                    "too many webhook deliveries at the same time: one was turned away"
                );
                return;
            }
            Self::Forged => {
                tracing::warn!(
                    target: log::WEBHOOKS,
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

//! Why a callback did not end in a grant, and what its user is told.

use std::time::Duration;

use http::StatusCode;

use super::Problem;
use crate::context::NoAnswer;
use crate::store::StoreError;
use crate::webflow::{CallError, ExchangeError};

/// Why a flow ended without a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The user has logged out meanwhile.
    Ended,
    InvalidGrant,
    /// Webflow refuses this client, or answers nonsense.
    Webflow,
    Timeout,
    Unreachable,
    RateLimited(Option<Duration>),
    Store,
    /// The process is shutting down: no exchange was begun.
    ShuttingDown,
    Internal,
}

impl From<&ExchangeError> for Failure {
    fn from(error: &ExchangeError) -> Self {
        match error {
            ExchangeError::InvalidGrant => Self::InvalidGrant,
            ExchangeError::RateLimited { retry_after } => Self::RateLimited(*retry_after),
            ExchangeError::Call(CallError::Timeout) => Self::Timeout,
            ExchangeError::Call(CallError::Unreachable(_)) => Self::Unreachable,
            ExchangeError::InvalidClient
            | ExchangeError::Status { .. }
            | ExchangeError::Malformed
            | ExchangeError::Call(CallError::TooLong) => Self::Webflow,
        }
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        if matches!(error, StoreError::Panicked) { Self::Internal } else { Self::Store }
    }
}

/// How long a client should wait before it asks an unavailable store again.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(5);
const SHUTDOWN_RETRY_AFTER: Duration = Duration::from_secs(1);
const RATE_LIMIT_RETRY_AFTER: Duration = Duration::from_secs(60);

impl Failure {
    /// The answer's content; says nothing that helps to probe the application.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Ended => not_ours(),
            Self::InvalidGrant => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-grant",
                "Webflow did not accept this sign-in",
                "Its code was used before or is older than 15 minutes. Please start again.",
            ),
            Self::Webflow => Problem::new(
                StatusCode::BAD_GATEWAY,
                "webflow-refused",
                "Webflow could not complete the sign-in",
                "Webflow's answer could not be used. The application's log says why.",
            ),
            Self::Timeout => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "webflow-timeout",
                "Webflow is not answering",
                "Webflow took too long to complete the sign-in. Please try again in a moment.",
            ),
            Self::Unreachable => Problem::new(
                StatusCode::BAD_GATEWAY,
                "webflow-unreachable",
                "Webflow cannot be reached",
                "The connection to Webflow failed. Please try again in a moment.",
            ),
            Self::RateLimited(wait) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "webflow-busy",
                "Webflow is busy",
                "Webflow asks to wait for a while before the next sign-in.",
            )
            .retry_after(wait.unwrap_or(RATE_LIMIT_RETRY_AFTER)),
            Self::Store => store_unavailable(),
            Self::ShuttingDown => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting-down",
                "The application is restarting",
                "Reload this page in a moment to complete the sign-in.",
            )
            .retry_after(SHUTDOWN_RETRY_AFTER)
            .retry_here(true),
            Self::Internal => internal(),
        }
    }
}

/// The answer when the token store has failed: 503, or 500 if it panicked.
pub(crate) fn of_store(error: &StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "the token store failed");
    if matches!(error, StoreError::Panicked) { internal() } else { store_unavailable() }
}

fn store_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store-unavailable",
        "Sign-ins cannot be looked up right now",
        "The application's token store is not available. Please try again in a moment.",
    )
    .retry_after(STORE_RETRY_AFTER)
    .retry_here(true)
}

/// The same words for every state that is not this browser's, or not any more, so that nothing can
/// be probed.
pub(crate) fn not_ours() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unknown-flow",
        "This sign-in was not started here",
        "It was started in another browser, was completed already, or its cookie is missing: \
         cookies must be allowed for this site. Please start again.",
    )
    .causes(&[
        (
            "Cookies are blocked",
            "Cookies must be allowed for this site: without one, nothing shows that it was you \
             who started.",
        ),
        (
            "It was started in another browser or a private window",
            "Finish it there, or start again here.",
        ),
        (
            "It was completed already, or you have signed out since",
            "Each answer from Webflow works for one sign-in.",
        ),
    ])
    .way_on("Start again")
}

/// The answer while the application cannot tell whose request it is: 503, or 500 if it panicked.
pub(crate) fn of_subject(why: NoAnswer) -> Problem {
    match why {
        NoAnswer::Unavailable => subject_unavailable(),
        NoAnswer::Panicked => internal(),
    }
}

fn subject_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "subject-unavailable",
        "Your sign-in cannot be looked up right now",
        "The application could not find out who you are. Please try again in a moment.",
    )
    .retry_after(STORE_RETRY_AFTER)
    .retry_here(true)
}

/// The answer after a panic in the application's own closures.
pub(crate) fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong",
        "The application met an unexpected error. Please try again.",
    )
    .retry_here(true)
}

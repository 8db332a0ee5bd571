//! Problems of extractors without a value, and of a handler's failed call to Webflow.

use std::time::Duration;

use http::StatusCode;

use crate::problem::{FailureKind, Problem};

/// The request itself starts the first lookup. The second may start after this time.
const USER_RETRY_AFTER: Duration = Duration::from_secs(10);

pub fn options_without_token() -> Problem {
    Problem::new(
        FailureKind::LoginRequired,
        StatusCode::UNAUTHORIZED,
        "OPTIONS carries no token",
        "A handler for OPTIONS gets no token: use Option<WebflowToken>.",
    )
}

/// The user who authorized the grant is not known yet.
pub fn user_pending() -> Problem {
    Problem::new(
        FailureKind::UserPending,
        StatusCode::SERVICE_UNAVAILABLE,
        "Your Webflow account is not known yet",
        "The application could not ask Webflow who you are. Please try again in a moment.",
    )
    .retry_after(USER_RETRY_AFTER)
    .retry_here(true)
}

/// A handler reports that Webflow rejects its token.
pub fn token_refused() -> Problem {
    Problem::new(
        FailureKind::TokenRefused,
        StatusCode::UNAUTHORIZED,
        "Webflow no longer accepts the token",
        "Connect Webflow again.",
    )
}

pub fn layer_missing(remedy: &'static str) -> Problem {
    Problem::new(
        FailureKind::LayerMissing,
        StatusCode::INTERNAL_SERVER_ERROR,
        "WebflowAuthLayer is missing on this route",
        remedy,
    )
}

pub fn call_failed(kind: FailureKind, status: StatusCode, detail: String) -> Problem {
    Problem::new(kind, status, "A call to Webflow failed", detail)
}

//! What a request is told when an extractor has no value, or a handler's call to Webflow failed.

use std::time::Duration;

use http::StatusCode;

use crate::problem::{FailureKind, Problem};

/// The first lookup has begun with the request itself; the second may begin after this.
const USER_RETRY_AFTER: Duration = Duration::from_secs(10);

pub fn options_without_token() -> Problem {
    Problem::new(
        FailureKind::LoginRequired,
        StatusCode::UNAUTHORIZED,
        "OPTIONS carries no token",
        "A handler for OPTIONS gets no token: take Option<WebflowToken>.",
    )
}

/// Webflow could not be asked yet who gave the grant.
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

/// A handler reports that Webflow does not accept its token.
pub fn token_refused() -> Problem {
    Problem::new(
        FailureKind::TokenRefused,
        StatusCode::UNAUTHORIZED,
        "Webflow does not accept the token any more",
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

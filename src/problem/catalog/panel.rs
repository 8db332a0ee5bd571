//! Problems of panels. Scripts read them, so they are never rendered as pages.

use std::time::Duration;

use http::StatusCode;

use crate::problem::{FailureKind, Problem};

const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);
const RATE_LIMIT_RETRY_AFTER: Duration = Duration::from_secs(60);

// The panel path.

pub fn media_type() -> Problem {
    Problem::new(
        FailureKind::PanelMediaType,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "Send application/json without a content encoding.",
    )
}

pub fn too_large() -> Problem {
    Problem::new(
        FailureKind::PanelTooLarge,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The request is too large",
        "Its body is longer than 16 KiB.",
    )
}

pub fn timeout() -> Problem {
    Problem::new(
        FailureKind::PanelTimeout,
        StatusCode::REQUEST_TIMEOUT,
        "The request took too long",
        "Its body did not arrive in time.",
    )
}

pub fn malformed() -> Problem {
    Problem::new(
        FailureKind::PanelMalformed,
        StatusCode::BAD_REQUEST,
        "The request is malformed",
        "Send a JSON object with idToken, siteId and, if known, workspaceId.",
    )
}

pub fn busy() -> Problem {
    Problem::new(
        FailureKind::PanelBusy,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many panels are signing in",
        "Repeat the request in a moment.",
    )
    .retry_after(BUSY_RETRY_AFTER)
}

pub fn id_token_refused() -> Problem {
    Problem::new(
        FailureKind::IdTokenRefused,
        StatusCode::UNAUTHORIZED,
        "The ID token is not accepted",
        "Get a new one from webflow.getIdToken(), on the site that the request names.",
    )
}

pub fn too_many_id_tokens(wait: Duration) -> Problem {
    Problem::new(
        FailureKind::TooManyIdTokens,
        StatusCode::TOO_MANY_REQUESTS,
        "Too many ID tokens were refused",
        "Webflow has refused too many ID tokens for this site. Try again later.",
    )
    .retry_after(wait)
}

pub fn not_connected(login_url: String) -> Problem {
    Problem::new(
        FailureKind::NotConnected,
        StatusCode::CONFLICT,
        "The site is not connected",
        "Open login_url in a new window to connect Webflow, and repeat the request afterwards.",
    )
    .login_url(login_url)
}

pub fn webflow_error() -> Problem {
    Problem::new(
        FailureKind::WebflowError,
        StatusCode::BAD_GATEWAY,
        "Webflow could not resolve the ID token",
        "Webflow's response could not be used. The application's log has the reason.",
    )
}

pub fn webflow_rate_limit(wait: Option<Duration>) -> Problem {
    Problem::new(
        FailureKind::WebflowRateLimit,
        StatusCode::SERVICE_UNAVAILABLE,
        "Webflow is busy",
        "Webflow's rate limit is exhausted. Repeat the request later.",
    )
    .retry_after(wait.unwrap_or(RATE_LIMIT_RETRY_AFTER))
}

// Routes that panels call.

pub fn bearer_refused() -> Problem {
    Problem::new(
        FailureKind::BearerRefused,
        StatusCode::UNAUTHORIZED,
        "The bearer is not accepted",
        "It is invalid, has expired, or the connection to Webflow has ended. Get a new one from the \
         panel path.",
    )
}

#[cfg(feature = "axum")]
pub fn bearer_required() -> Problem {
    Problem::new(
        FailureKind::BearerRequired,
        StatusCode::UNAUTHORIZED,
        "A panel's bearer is required",
        "Send the token of the panel path as Authorization: Bearer.",
    )
}

//! Problems for the sender of a webhook. They reveal as little as possible: the log has the
//! reasons.

use std::time::Duration;

use http::StatusCode;

use crate::problem::{FailureKind, Problem};

pub fn refused() -> Problem {
    Problem::new(
        FailureKind::WebhookRefused,
        StatusCode::UNAUTHORIZED,
        "The webhook is refused",
        "It has no valid and recent signature for this application.",
    )
}

pub fn media_type() -> Problem {
    Problem::new(
        FailureKind::WebhookMediaType,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "Send application/json without a content encoding.",
    )
}

pub fn too_large() -> Problem {
    Problem::new(
        FailureKind::WebhookTooLarge,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The webhook is too large",
        "Its body is longer than this application accepts.",
    )
}

pub fn timeout() -> Problem {
    Problem::new(
        FailureKind::WebhookTimeout,
        StatusCode::REQUEST_TIMEOUT,
        "The webhook took too long",
        "Its body did not arrive in time.",
    )
}

pub fn malformed() -> Problem {
    Problem::new(
        FailureKind::WebhookMalformed,
        StatusCode::BAD_REQUEST,
        "The webhook is malformed",
        "Its body is not a JSON object with a triggerType.",
    )
}

pub fn busy() -> Problem {
    Problem::new(
        FailureKind::WebhookBusy,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many webhooks",
        "The application is handling as many as it can. Send it again later.",
    )
    .retry_after(Duration::from_secs(1))
}

/// A handler takes a `WebflowEvent` on a route without a `WebhookLayer`.
#[cfg(feature = "axum")]
pub fn layer_missing(remedy: &'static str) -> Problem {
    Problem::new(
        FailureKind::LayerMissing,
        StatusCode::INTERNAL_SERVER_ERROR,
        "WebhookLayer is missing on this route",
        remedy,
    )
}

//! What the demo says when something is not there or does not work.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tower_webflow_auth::api::ApiError;

use super::{Frame, Mark, Place, Statement, statement};

pub(crate) fn not_found() -> Response {
    let frame = Frame { title: "Not found", place: Place::Elsewhere, connected: true };
    let said = Statement {
        mark: Mark::Lost,
        title: "There is no such page",
        text: "The address leads nowhere in this demo.",
        way_on: ("/", "Back to the start"),
        small: None,
    };
    statement(&frame, StatusCode::NOT_FOUND, &said)
}

/// A call to Webflow that failed, with the status that the crate gives it.
pub(crate) fn of_api(error: &ApiError) -> Response {
    let again = ("/sites", "Try again");
    let (title, text, way_on) = match error {
        ApiError::RateLimited { .. } => (
            "Webflow asks for a pause",
            "The calls of this minute are used up. Your connection is fine; try again in a minute.",
            again,
        ),
        ApiError::Forbidden { .. } => (
            "Webflow does not allow this",
            "The connection lacks a permission for this page, or you lack a right at Webflow.",
            ("/access", "See what was allowed"),
        ),
        ApiError::NoAccess { .. } => (
            "Webflow does not allow this",
            "The connection has no access to this. It may be somebody else's, or be gone.",
            ("/access", "See what was allowed"),
        ),
        ApiError::Timeout | ApiError::Unreachable(_) => (
            "Webflow cannot be reached",
            "Your connection is fine and nothing is lost. Try again in a moment.",
            again,
        ),
        _ => (
            "Webflow gave no usable answer",
            "Your connection is fine and nothing is lost. Try again in a moment.",
            again,
        ),
    };
    let frame = Frame { title, place: Place::Sites, connected: true };
    let small = Some(error.to_string());
    let said = Statement { mark: Mark::Trouble, title, text, way_on, small };
    let mut response = statement(&frame, error.status(), &said);
    if let ApiError::RateLimited { retry_after: Some(wait), .. } = error {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

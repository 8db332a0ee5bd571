//! Error pages.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tower_webflow_auth::api::ApiError;

use super::{Frame, Mark, Place, Statement, statement};

pub(crate) fn not_found() -> Response {
    let frame = Frame { title: "Not found", place: Place::Elsewhere, connected: true };
    let said = Statement {
        mark: Mark::Lost,
        title: "There is no such page",
        text: "This demo has no page at this address.",
        link: ("/", "Back to the start"),
        small: None,
    };
    statement(&frame, StatusCode::NOT_FOUND, &said)
}

/// The page for a failed call to Webflow, with the status of the `ApiError`.
pub(crate) fn of_api(error: &ApiError) -> Response {
    let again = ("/sites", "Try again");
    let (title, text, link) = match error {
        ApiError::RateLimited { .. } => (
            "Webflow asks for a pause",
            "This minute's calls are used up. Your connection is fine; try again in a minute.",
            again,
        ),
        ApiError::Forbidden { .. } => (
            "Webflow does not allow this",
            "The connection does not have the permission for this page, or your Webflow role does not.",
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
            "Webflow returned an unusable response",
            "Your connection is fine and nothing is lost. Try again in a moment.",
            again,
        ),
    };
    let frame = Frame { title, place: Place::Sites, connected: true };
    let small = Some(error.to_string());
    let said = Statement { mark: Mark::Trouble, title, text, link, small };
    let mut response = statement(&frame, error.status(), &said);
    if let ApiError::RateLimited { retry_after: Some(wait), .. } = error {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

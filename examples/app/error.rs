//! Errors of handlers, as pages.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;
use tower_webflow_auth::api::ApiError;

use crate::pages::Frame;

pub(crate) enum AppError {
    Webflow(ApiError),
    Database(sqlx::Error),
    NotFound,
    /// Something that should not happen.
    Internal(&'static str),
}

impl From<ApiError> for AppError {
    fn from(error: ApiError) -> Self {
        Self::Webflow(error)
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            // The layer removes the grant and asks for a new one.
            Self::Webflow(error @ ApiError::Unauthorized { .. }) => return error.into_response(),
            Self::Webflow(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a call to Webflow failed"
                );
                (error.status(), "Webflow did not do that", error.to_string())
            }
            Self::Database(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the database failed");
                let text = "Please try again in a moment.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "This does not work at the moment", text)
            }
            Self::NotFound => {
                let text = "The address may be mistyped, or the page is gone.".to_owned();
                (StatusCode::NOT_FOUND, "There is no such page", text)
            }
            Self::Internal(problem) => {
                tracing::error!(problem, "a request failed");
                let text = "Please try again.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", text)
            }
        };
        let content = html! {
            h1 { (title) }
            p { (text) }
            p { a.button href="/" { "Back to the start" } }
        };
        // Nothing else of the request is known here, so the page has no sign-out button.
        (status, Frame::new(title).page(&content)).into_response()
    }
}

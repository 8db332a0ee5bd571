//! What handlers may return as it is: errors of calls, and the wish to ask for a new token.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use crate::api::ApiError;
use crate::grant::token::Reauthorize;
use crate::problem::Problem;

impl IntoResponse for Reauthorize {
    fn into_response(self) -> Response {
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "token-refused",
            "Webflow does not accept the token any more",
            "Connect Webflow again.",
        );
        let mut response = problem.respond(false).map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::warn!(error = &self as &dyn std::error::Error, "a call to Webflow failed");
        let mut problem =
            Problem::new(self.status(), self.slug(), "A call to Webflow failed", self.to_string());
        match self {
            Self::Unauthorized { token, .. } => return token.reauthorize().into_response(),
            Self::RateLimited { retry_after, .. } => problem.retry_after = retry_after,
            _ => {}
        }
        problem.respond(false).map(Body::from)
    }
}

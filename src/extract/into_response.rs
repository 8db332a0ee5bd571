//! Values that handlers can return: errors, and the request for a new token.

use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

use crate::api::ApiError;
use crate::flow::begin::BeginError;
use crate::grant::token::Reauthorize;
use crate::problem::{HasPage, Problem, catalog};
use crate::util::log;

impl IntoResponse for Reauthorize {
    fn into_response(self) -> Response {
        let mut response = catalog::extract::token_refused().json().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

/// Responds with JSON, which the layer replaces with a page for browsers.
fn respond_with_page(problem: Problem) -> Response {
    let mut response = problem.json().map(Body::from);
    response.extensions_mut().insert(HasPage(Arc::new(problem)));
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::warn!(target: log::API, error = &self as &dyn std::error::Error, "a call to Webflow failed");
        let mut problem =
            catalog::extract::call_failed(self.kind(), self.status(), self.to_string());
        match self {
            Self::Unauthorized { token, .. } => return token.reauthorize().into_response(),
            Self::RateLimited { retry_after, .. } => problem.retry_after = retry_after,
            Self::NoAccess { .. } => return respond_with_page(problem),
            _ => {}
        }
        problem.json().map(Body::from)
    }
}

impl IntoResponse for BeginError {
    fn into_response(self) -> Response {
        let problem = match &self {
            Self::Store => catalog::store_unavailable(),
            Self::Subject => catalog::subject_unavailable(),
            Self::DataTooLong { .. } | Self::Data(_) => {
                let error = &self as &dyn std::error::Error;
                tracing::error!(target: log::APPLICATION, error, "a login could not be started");
                catalog::internal()
            }
        };
        respond_with_page(problem)
    }
}

//! The axum extractor for events.

use std::fmt;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use super::WebflowEvent;
use crate::problem::catalog;
use crate::util::log;

/// The rejection of the [`WebflowEvent`] extractor: the route has no
/// [`WebhookLayer`](super::WebhookLayer). As a response it is a 500 with a hint.
#[derive(Debug)]
#[non_exhaustive]
pub struct WebflowEventRejection;

const HINT: &str = "WebhookLayer is missing on this route: add \
     `.layer(auth.webhooks())` to the route that receives webhooks";

impl<S: Sync> FromRequestParts<S> for WebflowEvent {
    type Rejection = WebflowEventRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let event = parts.extensions.get::<Self>();
        event.cloned().ok_or_else(|| {
            tracing::error!(target: log::WEBHOOKS, path = parts.uri.path(), "{HINT}");
            WebflowEventRejection
        })
    }
}

impl fmt::Display for WebflowEventRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HINT)
    }
}

impl std::error::Error for WebflowEventRejection {}

impl IntoResponse for WebflowEventRejection {
    fn into_response(self) -> Response {
        catalog::webhook::layer_missing(HINT).json().map(Body::from)
    }
}

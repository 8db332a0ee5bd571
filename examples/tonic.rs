//! A gRPC server behind the layer. Clients send the session cookie as `cookie` metadata, which
//! becomes the HTTP header of that name.
//!
//! A client without a session gets the layer's 401, which gRPC clients read as `UNAUTHENTICATED`.
#![allow(dead_code, reason = "tests use only a part of this file")]

mod support;

use axum::Router;
use axum::routing::get;
use tonic::service::Routes;
use tonic_health::server::health_reporter;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken};

/// tonic's services are axum routes, so one router serves gRPC and pages. A browser gets its
/// session from the page.
pub(crate) async fn app(auth: &WebflowAuthLayer) -> Router {
    let (reporter, health) = health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let page = |token: WebflowToken| async move { format!("connected: {token:?}") };
    Routes::new(health).into_axum_router().route("/", get(page)).layer(auth.clone())
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    let app = app(&auth).await;
    stage.serve(app).await
}

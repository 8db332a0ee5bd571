//! A gRPC server whose methods are behind the layer: clients send the session as metadata
//! `cookie`, which is the header of that name.
//!
//! A client without one gets the layer's 401, which gRPC clients read as `UNAUTHENTICATED`.
#![allow(dead_code, reason = "tests use a part of it")]

mod support;

use axum::Router;
use axum::routing::get;
use tonic::service::Routes;
use tonic_health::server::health_reporter;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken};

/// tonic's services are routes of axum's, so both kinds stand in one router: the page is where a
/// browser gets its session.
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

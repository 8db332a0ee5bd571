//! The smallest example: one layer, one handler.

mod support;

use axum::{Json, Router, routing::get};
use serde_json::Value;
use tower_webflow_auth::{WebflowToken, api::ApiError};

async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
    Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    stage.serve(Router::new().route("/", get(sites)).layer(auth)).await
}

//! Tokens outside a request: a webhook finds the grant by the site's id, and a job tidies up.
#![allow(clippy::print_stdout, reason = "it is run by hand")]

mod support;

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_webflow_auth::{WebflowAuthHandle, WebflowToken};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn webhook(
    State(handle): State<WebflowAuthHandle>,
    Path(site): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let tokens =
        handle.tokens_for_site(&site).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let token = tokens.first().ok_or(StatusCode::NOT_FOUND)?;
    let sites = token.api().sites().await.map_err(|error| error.status())?;
    Ok(Json(json!({ "sites": sites.len() })))
}

/// Webflow expires tokens that lie idle for a year: what is older is of no use.
async fn tidy_up(handle: WebflowAuthHandle) {
    loop {
        match handle.purge(DAY * 365).await {
            Ok(count) => println!("{count} old grants went"),
            Err(error) => println!("another time: {error}"),
        }
        tokio::time::sleep(DAY).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    tokio::spawn(tidy_up(auth.handle()));
    let home = |token: WebflowToken| async move { format!("connected: {:?}", token.sites()) };
    let app = Router::new()
        .route("/", get(home))
        .layer(auth.clone())
        .route("/webhooks/{site}", post(webhook))
        .with_state(auth.handle());
    stage.serve(app).await
}

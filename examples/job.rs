//! Tokens outside a request: a webhook finds the grant by its site ID, and a job purges old grants.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::store::StoreError;
use tower_webflow_auth::{WebflowAuthHandle, WebflowToken};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the payload that the webhook needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    site_id: String,
    workspace_id: String,
}

/// Searches both indexes, since a grant covers either single sites or a whole workspace.
async fn grants(
    handle: &WebflowAuthHandle,
    event: &Event,
) -> Result<Vec<WebflowToken>, StoreError> {
    let mut tokens = handle.tokens_for_site(&event.site_id).await?;
    tokens.extend(handle.tokens_for_workspace(&event.workspace_id).await?);
    Ok(tokens)
}

async fn webhook(
    State(handle): State<WebflowAuthHandle>,
    Json(event): Json<Event>,
) -> Result<Json<Value>, StatusCode> {
    for token in grants(&handle, &event).await.map_err(unavailable)? {
        match token.api().sites().await {
            Ok(sites) => return Ok(Json(json!({ "sites": sites.len() }))),
            // The user has removed the app. Outside a request no layer deletes the token.
            Err(ApiError::Unauthorized { token, .. }) => {
                handle.revoke_grant(&token).await.map_err(unavailable)?;
            }
            Err(error) => return Err(error.status()),
        }
    }
    Err(StatusCode::NOT_FOUND)
}

fn unavailable<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// Purges by age, not by last use: users who connected longer ago must give consent again.
async fn tidy_up(handle: WebflowAuthHandle) {
    loop {
        match handle.purge_older_than(DAY * 365).await {
            Ok(count) => println!("purged {count} old grants"),
            Err(error) => println!("could not purge, will retry tomorrow: {error}"),
        }
        tokio::time::sleep(DAY).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    tokio::spawn(tidy_up(auth.handle()));
    let site = stage.fake.workspaces().first().and_then(|workspace| workspace.sites().first());
    if let Some(site) = site {
        println!(
            "connect at /, then run: curl -H 'content-type: application/json' \
             -d '{{\"siteId\":\"{}\",\"workspaceId\":\"{}\"}}' http://{}/webhook",
            site.id(),
            site.workspace_id(),
            stage.address
        );
    }
    let home = |token: WebflowToken| async move {
        format!("connected: sites {:?}, workspaces {:?}", token.sites(), token.workspaces())
    };
    let app = Router::new()
        .route("/", get(home))
        .layer(auth.clone())
        .route("/webhook", post(webhook))
        .with_state(auth.handle());
    stage.serve(app).await
}

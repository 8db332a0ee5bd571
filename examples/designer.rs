//! A Hybrid App: the panel in Webflow's Designer sends an ID token, the backend finds the site's
//! grants and asks Webflow whose it is. The grants need the scope `authorized_user:read`.
//!
//! In the panel: `fetch("/designer/session", {method: "POST", headers: {"content-type":
//! "application/json"}, body: JSON.stringify({siteId, idToken: await webflow.getIdToken()})})`.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tower_webflow_auth::{IdTokenError, Scope, WebflowAuthHandle, WebflowToken};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    site_id: String,
    id_token: String,
}

async fn session(State(handle): State<WebflowAuthHandle>, Json(panel): Json<Panel>) -> Response {
    match handle.resolve_id_token(&panel.site_id, &panel.id_token).await {
        // A real application would create its own session for the panel here.
        Ok(user) => Json(json!({ "user": user.id, "email": user.email })).into_response(),
        Err(IdTokenError::NoGrant) => {
            (StatusCode::NOT_FOUND, "connect the site first: open / in a browser tab")
                .into_response()
        }
        Err(IdTokenError::Refused) => StatusCode::UNAUTHORIZED.into_response(),
        Err(IdTokenError::MissingScope) => {
            (StatusCode::FORBIDDEN, "connect the site again").into_response()
        }
        Err(IdTokenError::Api(error)) => error.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn home(token: WebflowToken) -> String {
    format!("connected: sites {:?}", token.sites())
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    // Webflow resolves ID tokens with this scope only.
    let auth = stage.auth().scopes([Scope::AUTHORIZED_USER_READ]).build()?;
    let site = stage.fake.workspaces().first().and_then(|workspace| workspace.sites().first());
    if let Some(site) = site {
        let id = site.id();
        let id_token = stage.fake.id_token(id);
        println!("on the consent screen, pick only the site {}; then run:", site.display_name());
        println!(
            "curl -H 'content-type: application/json' \
             -d '{{\"siteId\":\"{id}\",\"idToken\":\"{id_token}\"}}' \
             http://{}/designer/session",
            stage.address
        );
    }
    let app = Router::new()
        .route("/", get(home))
        .layer(auth.clone())
        .route("/designer/session", post(session))
        .with_state(auth.handle());
    stage.serve(app).await
}

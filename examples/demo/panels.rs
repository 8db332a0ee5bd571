//! `DEMO_PANEL_ORIGIN=https://a.example,https://b.example`: the panel path for these origins, and
//! `GET /panel/whoami`, which takes its bearer.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_webflow_auth::{
    PanelSession, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder,
};

/// Gives the builder the origins of the environment.
pub(crate) fn with_origins(mut builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    let origins = std::env::var("DEMO_PANEL_ORIGIN").unwrap_or_default();
    for origin in origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        builder = builder.panel_origin(origin);
    }
    builder
}

/// The route, unless panels are switched off.
pub(crate) fn router(auth: &WebflowAuthLayer) -> Router {
    if auth.panel_path().is_none() {
        return Router::new();
    }
    Router::new().route("/panel/whoami", get(whoami).layer(auth.optional()))
}

async fn whoami(PanelSession { user, site_id }: PanelSession, token: WebflowToken) -> Json<Value> {
    let scopes: Vec<_> = token.scopes().iter().map(ToString::to_string).collect();
    Json(json!({ "user": user, "siteId": site_id, "sites": token.sites(), "scopes": scopes }))
}

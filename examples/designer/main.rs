//! A Hybrid App: a panel in Webflow's Designer, and its backend.
//!
//! The panel sends Webflow's ID token to the layer's panel path and gets a bearer for its calls. If
//! nobody has connected the site yet, it opens the login in a pop-up window. The panel is on a
//! separate origin, as in production, where Webflow hosts it below `webflow-ext.com`.
#![allow(dead_code, clippy::print_stdout, reason = "tests use only a part of this file")]

#[path = "../support/mod.rs"]
mod support;

use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::Workspace;
use tower_webflow_auth::{
    PanelSession, Scope, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder,
};

const PANEL: &str = include_str!("panel.html");
const SCRIPT: &str = include_str!("panel.js");

/// Webflow resolves ID tokens with `authorized_user:read` only. With `sites:read`, grants of whole
/// workspaces are found by their sites.
pub(crate) fn with_panel(builder: WebflowAuthBuilder, origin: &str) -> WebflowAuthBuilder {
    builder.scopes([Scope::AUTHORIZED_USER_READ, Scope::SITES_READ]).panel_origin(origin)
}

/// The application itself. `/api/site` can be called by the panel only.
pub(crate) fn backend(auth: &WebflowAuthLayer) -> Router {
    Router::new().route("/api/site", get(site)).layer(auth.optional()).route(
        "/connected",
        get(Html("<p>Connected. You can close this window.</p><script>close()</script>")),
    )
}

async fn site(
    PanelSession { user, site_id }: PanelSession,
    token: WebflowToken,
) -> Result<Json<Value>, ApiError> {
    let site: Value = token.api().get(["sites", &site_id]).send().await?.json().await?;
    Ok(Json(json!({ "name": site.get("displayName"), "email": user.email })))
}

/// What a real app uploads to Webflow. `designer` is the script of the fake Designer; in the real one
/// the `webflow` object is there without it.
pub(crate) fn panel(backend: &str, designer: &str) -> Router {
    let page = PANEL.replace("{backend}", backend).replace("{designer}", designer);
    let script = ([("content-type", "text/javascript")], SCRIPT);
    Router::new().route("/", get(Html(page))).route("/panel.js", get(script))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // Browsers count `localhost` and `127.0.0.1` as two sites.
    let origin = format!("http://localhost:{}", listener.local_addr()?.port());
    let auth = with_panel(stage.auth(), &origin).build()?;
    let panel = panel(&format!("http://{}", stage.address), stage.fake.designer_script().as_str());
    tokio::spawn(async move { axum::serve(listener, panel).await });
    for site in stage.fake.workspaces().iter().flat_map(Workspace::sites) {
        let url = stage.fake.designer_url(site.id(), &format!("{origin}/"));
        println!("the Designer on {}: {url}", site.display_name());
    }
    stage.run(backend(&auth)).await
}

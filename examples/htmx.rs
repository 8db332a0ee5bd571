//! HTMX: a fragment behind the layer. The layer's 401 carries `HX-Redirect`, so the page goes to
//! Webflow and returns to itself.
//!
//! The browser loads the script of HTMX from unpkg.com, so this example needs the network. An
//! application of your own would serve the script itself.

mod support;

use axum::response::Html;
use axum::{Router, routing::get};
use maud::html;
use tower_webflow_auth::{WebflowToken, api::ApiError};

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sites, loaded by HTMX</title>
<script src="https://unpkg.com/htmx.org@2.0.4"
  integrity="sha384-HGfztofotfshcF7+8n44JQL2oJmowVChPTg48S+jvZoztPfvwD79OC/LTtG6dMp+"
  crossorigin="anonymous"></script>
<main>
<h1>Sites, loaded by HTMX</h1>
<noscript><p>This page needs JavaScript, and HTMX from unpkg.com.</p></noscript>
<button hx-get="/fragments/sites" hx-target="next ul">Load</button>
<ul></ul>
</main>
"#;

async fn sites(token: WebflowToken) -> Result<Html<String>, ApiError> {
    let sites = token.api().sites().await?;
    Ok(Html(html! { @for site in &sites { li { (site.display_name) } } }.into_string()))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    let app = Router::new()
        .route("/fragments/sites", get(sites))
        .layer(auth)
        .route("/", get(|| async { Html(PAGE) }));
    stage.serve(app).await
}

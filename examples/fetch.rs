//! A page whose script turns a 401 into a login, by navigating there or in a pop-up.
//!
//! The script is a separate file, so that the page needs no inline scripts.

mod support;

use axum::http::header;
use axum::response::Html;
use axum::{Json, Router, routing::get};
use serde_json::Value;
use tower_webflow_auth::{WebflowToken, api::ApiError};

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sites, loaded by a script</title>
<script src="/page.js" defer></script>
<main>
<h1>Sites, loaded by a script</h1>
<button id="go">Load; if necessary, go to Webflow</button>
<button id="popup">Load; if necessary, open a pop-up</button>
<pre id="out" aria-live="polite"></pre>
</main>
"#;

/// The last page in the pop-up, which closes itself.
const DONE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Connected</title>
<script src="/done.js" defer></script>
<main>
<h1>Connected</h1>
<p>You can close this window.</p>
</main>
"#;

/// `login_url` is a path on this origin. The pop-up ends at `/done`, which closes it. The page
/// polls for that, because a window that has visited another site loses its reference to the
/// opener.
const SCRIPT: &str = r#"
const out = document.getElementById("out");
async function load(otherwise) {
  const answer = await fetch("/api/sites", { headers: { accept: "application/json" } });
  const body = await answer.json();
  if (answer.status === 401 && body.login_url) return otherwise(body.login_url);
  out.textContent = JSON.stringify(body, null, 2);
}
function back(login, path) {
  const url = new URL(login, location.origin);
  url.searchParams.set("return_to", path);
  return url.href;
}
document.getElementById("go").onclick = () =>
  load((login) => { location.href = back(login, location.pathname); });
document.getElementById("popup").onclick = () =>
  load((login) => {
    const popup = window.open(back(login, "/done"), "webflow", "popup,width=560,height=760");
    if (!popup) { out.textContent = "Please allow pop-ups, or use the other button."; return; }
    const wait = setInterval(() => {
      if (!popup.closed) return;
      clearInterval(wait);
      load(() => { out.textContent = "Not connected."; });
    }, 300);
  });
"#;

async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
    Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    let script = |text: &'static str| ([(header::CONTENT_TYPE, "text/javascript")], text);
    let app = Router::new()
        .route("/api/sites", get(sites))
        .layer(auth.clone())
        .route("/", get(|| async { Html(PAGE) }))
        .route("/done", get(|| async { Html(DONE) }))
        .route("/done.js", get(move || async move { script("window.close();") }))
        .route("/page.js", get(move || async move { script(SCRIPT) }));
    stage.serve(app).await
}

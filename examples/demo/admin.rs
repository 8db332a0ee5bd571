//! `DEMO_ADMIN=1`: jobs over the stored grants, for whoever reaches the loopback address.
//!
//! `POST /import` (`subject=..&token=..`) imports a token, `POST /verify` asks Webflow of every grant,
//! and `POST /reseal` seals every row with the newest key. Each answers
//! `{"done": n, "failed": n}` at the end; a refused import also has a `"why"`.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Form, State};
use axum::routing::post;
use axum::{Json, Router};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_webflow_auth::handle::GrantState;
use tower_webflow_auth::{
    ImportError, Pace, SecretString, Subject, WebflowAuthHandle, WebflowAuthLayer,
};

const PER_SECOND: u32 = 50;

/// Whether the admin routes are switched on, which needs a loopback address.
pub(crate) fn is_on(address: SocketAddr) -> Result<bool, Box<dyn Error>> {
    if std::env::var("DEMO_ADMIN").as_deref() != Ok("1") {
        return Ok(false);
    }
    if address.ip().is_loopback() {
        return Ok(true);
    }
    Err("DEMO_ADMIN=1 needs a loopback address in DEMO_ADDR: anyone could use the routes".into())
}

/// The routes, none unless they are switched on.
pub(crate) fn router(auth: &WebflowAuthLayer, is_on: bool) -> Router {
    if !is_on {
        return Router::new();
    }
    Router::new()
        .route("/import", post(import))
        .route("/verify", post(verify))
        .route("/reseal", post(reseal))
        .with_state(auth.handle())
}

#[derive(Deserialize)]
struct Import {
    subject: String,
    token: SecretString,
}

async fn import(State(handle): State<WebflowAuthHandle>, Form(form): Form<Import>) -> Json<Value> {
    let why = match handle.import(&Subject::user(&form.subject), form.token).await {
        Ok(_) => return Json(json!({ "done": 1, "failed": 0 })),
        Err(ImportError::OtherApp) => "other-app",
        Err(ImportError::SiteToken) => "site-token",
        Err(ImportError::Dead) => "dead",
        Err(ImportError::ApplicationUnknown) => "application-unknown",
        Err(_) => "unreachable",
    };
    Json(json!({ "done": 0, "failed": 1, "why": why }))
}

async fn verify(State(handle): State<WebflowAuthHandle>) -> Json<Value> {
    let pace = Pace::per_second(PER_SECOND).confirm_after(Duration::from_secs(2));
    let certain = handle.verify_grants(pace).map(|verified| {
        verified.is_ok_and(|it| matches!(it.state, GrantState::Alive | GrantState::Gone))
    });
    count(certain).await
}

async fn reseal(State(handle): State<WebflowAuthHandle>) -> Json<Value> {
    count(handle.reseal(Pace::per_second(PER_SECOND)).map(|row| row.is_ok())).await
}

async fn count(outcomes: impl Stream<Item = bool>) -> Json<Value> {
    let (done, failed) = outcomes
        .fold((0, 0), |(done, failed), good| async move {
            if good { (done + 1, failed) } else { (done, failed + 1) }
        })
        .await;
    Json(json!({ "done": done, "failed": failed }))
}

//! `DEMO_WEBHOOKS=1`: a route that receives webhooks, and a log of them.
//!
//! `POST /hooks/webflow` obeys `payload.demo`: `"fail"` answers 500, `"panic"` panics. `GET /hooks/log`
//! lists the newest 1 000 events, newest last. `DEMO_PREVIOUS_SECRET` is a former client secret,
//! `DEMO_WEBHOOK_SECRETS` the secrets of single webhooks, separated by commas.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;
use tower_webflow_auth::webhooks::WebflowEvent;
use tower_webflow_auth::{WebflowAuthLayer, config::WebflowAuthBuilder};

const KEPT: usize = 1000;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    trigger: String,
    site_id: Option<String>,
    workspace_id: Option<String>,
    /// How many grants cover the site; `null` when they could not be looked up.
    tokens: Option<usize>,
}

type Log = Arc<Mutex<VecDeque<Entry>>>;

/// Gives the builder the secrets of the environment.
pub(crate) fn with_secrets(mut builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    if let Some(secret) = variable("DEMO_PREVIOUS_SECRET") {
        builder = builder.previous_client_secret(secret.trim());
    }
    let secrets = variable("DEMO_WEBHOOK_SECRETS").unwrap_or_default();
    for secret in secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty()) {
        builder = builder.webhook_secret(secret);
    }
    builder
}

/// The routes, none unless they are switched on.
pub(crate) fn router(auth: &WebflowAuthLayer) -> Router {
    if variable("DEMO_WEBHOOKS").as_deref() != Some("1") {
        return Router::new();
    }
    Router::new()
        .route("/hooks/webflow", post(receive).layer(auth.webhooks()))
        .route("/hooks/log", get(show))
        .with_state(Log::default())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn receive(State(log): State<Log>, event: WebflowEvent) -> StatusCode {
    let entry = Entry {
        trigger: event.trigger().to_string(),
        site_id: event.site_id().map(str::to_owned),
        workspace_id: event.workspace_id().map(str::to_owned),
        tokens: event.tokens().await.ok().map(|tokens| tokens.len()),
    };
    {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(entry);
    }
    let payload: Value = event.payload().unwrap_or_default();
    match payload.get("demo").and_then(Value::as_str) {
        Some("fail") => StatusCode::INTERNAL_SERVER_ERROR,
        Some("panic") => panic!("payload.demo asks for a panic"),
        _ => StatusCode::OK,
    }
}

async fn show(State(log): State<Log>) -> Json<Vec<Entry>> {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    Json(log.iter().cloned().collect())
}

//! The main job in one command: a page, a consent screen, and a call to Webflow with the token.
//!
//! Without configuration a stand-in for Webflow is started beside it. With `WEBFLOW_CLIENT_ID` and
//! friends in the environment or in `.env` it talks to Webflow, or to `WEBFLOW_BASE_URL`.
//! `DEMO_ADDR` (default 127.0.0.1:3000) says where to listen, `DEMO_STORE` where to keep tokens:
//! `memory`, `sqlite:PATH` (the default, in the platform's data folder), and with the features of
//! those names `postgres://..` and `redis://..`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is run by hand")]

mod pages;
mod settings;

use std::error::Error;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::{Scope, WebflowAuthLayer, WebflowToken};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() {
    dotenvy::dotenv().ok();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    if let Err(error) = run().await {
        eprintln!("demo: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("  because: {cause}");
            source = cause.source();
        }
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on DEMO_ADDR={address}: {error}"))?;
    let address = listener.local_addr()?;
    let (builder, stand_in) = settings::builder(address).await?;
    let auth = settings::with_store(builder).await?.build()?;

    println!("demo: visit http://{address}/");
    match &stand_in {
        Some(fake) => println!("demo: Webflow is played by a stand-in at {}", fake.base_url()),
        None => println!("demo: configured from the environment"),
    }
    axum::serve(listener, app(&auth)).with_graceful_shutdown(stopped()).await?;
    println!("demo: stopped");
    Ok(())
}

fn app(auth: &WebflowAuthLayer) -> Router {
    Router::new()
        .route("/sites", get(sites))
        .route("/whoami", get(whoami))
        .layer(auth.clone())
        .route("/", get(home).layer(auth.optional()))
        .route("/cms", get(cms).post(cms).layer(auth.require_scopes([Scope::CMS_WRITE])))
        .route("/health", get(health))
        .with_state(auth.clone())
}

async fn home(State(auth): State<WebflowAuthLayer>, token: Option<WebflowToken>) -> Response {
    pages::page(StatusCode::OK, "Home", &pages::home(&auth, token.as_ref()))
}

async fn sites(token: WebflowToken, headers: HeaderMap) -> Result<Response, ApiError> {
    let html = wants_html(&headers);
    let answer: Value = match list(&token).await {
        Ok(answer) => answer,
        // The layer turns this one into a new trip to Webflow.
        Err(error @ ApiError::Unauthorized { .. }) => return Err(error),
        Err(error) if html => {
            return Ok(pages::page(error.status(), "Webflow", &pages::api_error(&error)));
        }
        Err(error) => return Err(error),
    };
    if html {
        Ok(pages::page(StatusCode::OK, "Sites", &pages::sites(&answer)))
    } else {
        Ok(Json(answer).into_response())
    }
}

async fn list(token: &WebflowToken) -> Result<Value, ApiError> {
    token.api().get("/v2/sites").send().await?.json().await
}

async fn whoami(token: WebflowToken) -> Json<Value> {
    let scopes: Vec<_> = token.scopes().iter().map(Scope::as_str).collect();
    Json(json!({
        "subject": token.subject().as_str(),
        "scopes": scopes,
        "sites": token.sites(),
    }))
}

async fn cms(token: WebflowToken, headers: HeaderMap) -> Response {
    if wants_html(&headers) {
        pages::page(StatusCode::OK, "CMS", &pages::cms(&token))
    } else {
        Json(json!({ "cms": "writable", "sites": token.sites() })).into_response()
    }
}

async fn health(State(auth): State<WebflowAuthLayer>) -> (StatusCode, &'static str) {
    match auth.handle().healthy().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the token store is not available"),
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Ends with SIGTERM or Ctrl-C; requests under way get ten seconds more.
async fn stopped() {
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        std::process::exit(0);
    });
}

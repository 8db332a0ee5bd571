//! Grants that belong to the users of an application with `tower-sessions`.
//!
//! Reading the session is async, but `.subject(..)` is not. A middleware therefore reads the user
//! once and inserts it into the extensions, for the Webflow layer and for handlers. Sign in at
//! `/login/ada`.
#![allow(dead_code, reason = "tests use only a part of this file")]

mod support;

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, Redirect, Response};
use axum::{Router, routing::get};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder};

#[derive(Clone)]
pub(crate) struct User(String);

async fn user(session: Session, mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let name: Option<String> =
        session.get("user").await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    if let Some(name) = name {
        request.extensions_mut().insert(User(name));
    }
    Ok(next.run(request).await)
}

pub(crate) fn with_subject(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(&user.0)))
}

/// A real login verifies a password.
async fn login(Path(name): Path<String>, session: Session) -> Result<Redirect, StatusCode> {
    let unavailable = |_| StatusCode::SERVICE_UNAVAILABLE;
    session.cycle_id().await.map_err(unavailable)?;
    session.insert("user", name).await.map_err(unavailable)?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Result<Redirect, StatusCode> {
    session.flush().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Redirect::to("/"))
}

async fn home() -> Html<&'static str> {
    Html(
        "<a href=/login/ada>Sign in as Ada</a> <a href=/webflow>Webflow</a> \
         <a href=/logout>Sign out</a>",
    )
}

pub(crate) fn app(auth: &WebflowAuthLayer) -> Router {
    Router::new()
        .route(
            "/webflow",
            get(|token: WebflowToken| async move { token.subject().id().to_owned() }),
        )
        .layer(auth.clone())
        .layer(from_fn(user))
        .route("/", get(home))
        .route("/login/{name}", get(login))
        .route("/logout", get(logout))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = with_subject(stage.auth()).build()?;
    stage.serve(app(&auth)).await
}

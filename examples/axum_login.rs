//! Grants that belong to the users of an application with `axum-login`.
//!
//! The login layer wraps the Webflow layer (it is added later), so that its session exists when the
//! Webflow layer determines the subject. Sign in at `/login/ada`.
#![allow(dead_code, clippy::unused_async, reason = "tests use only a part of this file")]

mod support;

use std::convert::Infallible;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::{Router, routing::get};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use tower_sessions_014::{MemoryStore, SessionManagerLayer};
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder};

#[derive(Clone, Debug)]
pub(crate) struct User {
    name: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// A real backend queries a database and verifies a password.
#[derive(Clone)]
pub(crate) struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Infallible> {
        self.get_user(&name).await
    }

    async fn get_user(&self, name: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(["ada", "bob"].contains(&name.as_str()).then(|| User { name: name.clone() }))
    }
}

/// axum-login inserts its session, which contains the user, into the extensions.
pub(crate) fn with_subject(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|parts| {
        let session = parts.extensions.get::<AuthSession<Users>>()?;
        session.user.as_ref().map(|user| Subject::user(&user.name))
    })
}

async fn login(
    Path(name): Path<String>,
    mut session: AuthSession<Users>,
) -> Result<Redirect, StatusCode> {
    let unavailable = StatusCode::INTERNAL_SERVER_ERROR;
    let user = session.authenticate(name).await.map_err(|_| unavailable)?;
    session.login(&user.ok_or(StatusCode::UNAUTHORIZED)?).await.map_err(|_| unavailable)?;
    Ok(Redirect::to("/"))
}

async fn logout(mut session: AuthSession<Users>) -> Result<Redirect, StatusCode> {
    session.logout().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redirect::to("/"))
}

async fn home(session: AuthSession<Users>) -> Html<&'static str> {
    match session.user {
        None => Html("<a href=/login/ada>Sign in as Ada</a> or <a href=/login/bob>Bob</a>"),
        Some(_) => Html("<a href=/webflow>Webflow</a> <a href=/logout>Sign out</a>"),
    }
}

pub(crate) fn app(auth: &WebflowAuthLayer) -> Router {
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    Router::new()
        .route(
            "/webflow",
            get(|token: WebflowToken| async move { token.subject().id().to_owned() }),
        )
        .layer(auth.clone())
        .route("/", get(home))
        .route("/login/{name}", get(login))
        .route("/logout", get(logout))
        .layer(AuthManagerLayerBuilder::new(Users, sessions).build())
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = with_subject(stage.auth()).build()?;
    stage.serve(app(&auth)).await
}

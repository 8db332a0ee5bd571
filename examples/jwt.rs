//! Grants that belong to the users of an application with its own JWT middleware. The JWT is in a
//! cookie, so that it survives the redirect to Webflow and back. Sign in at `/login/ada`.
#![allow(dead_code, reason = "tests use only a part of this file")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Router, routing::get};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder};

/// A real secret comes from the configuration.
const SECRET: &[u8] = b"the example's own secret, not yours";

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    exp: u64,
}

async fn claims(mut request: Request, next: Next) -> Response {
    let cookies = request.headers().get(header::COOKIE).and_then(|it| it.to_str().ok());
    let jwt = cookies.and_then(|it| it.split("; ").find_map(|pair| pair.strip_prefix("jwt=")));
    let key = DecodingKey::from_secret(SECRET);
    // A forged or expired JWT counts as none, and the Webflow layer responds with 401.
    let decoded = jwt.and_then(|jwt| decode::<Claims>(jwt, &key, &Validation::default()).ok());
    if let Some(decoded) = decoded {
        request.extensions_mut().insert(decoded.claims);
    }
    next.run(request).await
}

pub(crate) fn with_subject(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|parts| parts.extensions.get::<Claims>().map(|it| Subject::user(&it.sub)))
}

async fn login(Path(name): Path<String>) -> Result<impl IntoResponse, StatusCode> {
    let expires = SystemTime::now() + Duration::from_secs(3600);
    let exp = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let key = EncodingKey::from_secret(SECRET);
    let jwt = encode(&Header::default(), &Claims { sub: name, exp }, &key)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let cookie = format!("jwt={jwt}; Path=/; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")))
}

async fn logout() -> impl IntoResponse {
    ([(header::SET_COOKIE, "jwt=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")], Redirect::to("/"))
}

async fn home() -> Html<&'static str> {
    Html("<a href=/login/ada>Sign in as Ada</a> <a href=/webflow>Webflow</a>")
}

pub(crate) fn app(auth: &WebflowAuthLayer) -> Router {
    Router::new()
        .route(
            "/webflow",
            get(|token: WebflowToken| async move { token.subject().id().to_owned() }),
        )
        .layer(auth.clone())
        .layer(from_fn(claims))
        .route("/", get(home))
        .route("/login/{name}", get(login))
        .route("/logout", get(logout))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = with_subject(stage.auth()).build()?;
    stage.serve(app(&auth)).await
}

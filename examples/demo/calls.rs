//! Routes that answer with what Webflow or the token store says.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::handle::LookupError;
use url::form_urlencoded;

use crate::routes::Tour;

/// Behind the layer.
pub(crate) fn protected() -> Router<Arc<Tour>> {
    Router::new()
        .route("/sites/{id}", get(site))
        .route("/sites/{id}/publish", post(publish))
        .route("/kept", get(kept))
}

/// Without a sign-in.
pub(crate) fn open() -> Router<Arc<Tour>> {
    Router::new().route("/grants", get(grants))
}

async fn site(token: WebflowToken, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let answer = token.api().get(["sites", &id]).send().await?;
    Ok(Json(answer.json().await?))
}

/// Sends the request's JSON, or asks for the site's own subdomain.
async fn publish(
    token: WebflowToken,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let subdomain = |_| json!({ "publishToWebflowSubdomain": true });
    let body: Value = serde_json::from_slice(&body).unwrap_or_else(subdomain);
    let answer = token.api().post(["sites", &id, "publish"]).json(&body).send().await?;
    let status = answer.status();
    Ok((status, Json(answer.json::<Value>().await?)).into_response())
}

/// A response that a shared cache may keep.
async fn kept() -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], "kept").into_response()
}

/// How many grants cover a site.
async fn grants(State(tour): State<Arc<Tour>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parameter = |name: &str| -> Option<Cow<'_, str>> {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value)
    };
    let Some(site) = parameter("site") else {
        return problem(StatusCode::BAD_REQUEST, "Give the site's ID: /grants?site=..");
    };
    let handle = tour.auth.handle();
    let found = match parameter("workspace") {
        Some(workspace) => handle.tokens_for_site_in(&site, &workspace).await,
        None => handle.tokens_for_site(&site).await.map_err(LookupError::from),
    };
    match found {
        Ok(tokens) => Json(json!({ "tokens": tokens.len() })).into_response(),
        Err(error @ LookupError::Store(_)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
        Err(error) => problem(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

fn problem(status: StatusCode, title: &str) -> Response {
    let body = json!({ "title": title, "status": status.as_u16() }).to_string();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

//! The demo's routes, and which of them need a token.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_webflow_auth::api::{ApiError, ListError, RateLimit};
use tower_webflow_auth::{Scope, WebflowAuthLayer, WebflowToken};
use url::form_urlencoded;

use crate::calls;
use crate::pages::{self, access, home, leave, sites, trouble};

/// State shared by the handlers.
pub(crate) struct Tour {
    pub(crate) auth: WebflowAuthLayer,
    /// The scopes that a visitor can add.
    pub(crate) offers: Vec<Scope>,
    /// Whether the demo uses a fake Webflow.
    pub(crate) is_fake: bool,
}

pub(crate) fn router(tour: Tour) -> Router {
    let auth = tour.auth.clone();
    Router::new()
        .route("/sites", get(show_sites))
        .route("/access", get(show_access))
        .route("/disconnect", get(ask_to_leave))
        .route("/whoami", get(whoami))
        .merge(calls::protected())
        .route("/sites/{site_id}/pages", get(list_pages))
        .fallback(not_found)
        .layer(auth.clone())
        .route("/", get(show_home).layer(auth.optional()))
        .route("/signed-out", get(signed_out).layer(auth.optional()))
        .route("/disconnected", get(disconnected).layer(auth.optional()))
        .route("/cms", get(cms).post(cms).layer(auth.require_scopes([Scope::CMS_WRITE])))
        .route("/health", get(health))
        .merge(calls::open())
        .route("/style.css", get(async || file("text/css; charset=utf-8", pages::STYLE)))
        .route("/icon.svg", get(async || file("image/svg+xml", pages::ICON)))
        .with_state(Arc::new(tour))
}

async fn show_home(State(tour): State<Arc<Tour>>, token: Option<WebflowToken>) -> Response {
    home::page(&tour, token.as_ref())
}

async fn show_sites(
    State(tour): State<Arc<Tour>>,
    token: WebflowToken,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let html = wants_html(&headers);
    let answer: Value = match ask(&token, SITES).await {
        Ok((answer, _)) => answer,
        // The layer turns this error into a new consent.
        Err(error @ ApiError::Unauthorized { .. }) => return Err(error),
        Err(error) if html => return Ok(trouble::of_api(&error)),
        Err(error) => return Err(error),
    };
    Ok(if html { sites::page(&tour, &answer) } else { Json(answer).into_response() })
}

const SITES: &str = "/v2/sites";

async fn ask(token: &WebflowToken, path: &str) -> Result<(Value, Option<RateLimit>), ApiError> {
    let answer = token.api().get(path).send().await?;
    let limit = answer.rate_limit();
    Ok((answer.json().await?, limit))
}

/// A site's pages, two a call. What was read before an error is in its response.
async fn list_pages(
    token: WebflowToken,
    Path(site_id): Path<String>,
) -> Result<Response, ApiError> {
    let list = token.api().list::<Value>(["sites", &site_id, "pages"]).field("pages");
    match list.page_size(2).all().await {
        Ok(pages) => Ok(Json(json!({ "pages": pages })).into_response()),
        // The layer turns this error into a new consent.
        Err(ListError { error: error @ ApiError::Unauthorized { .. }, .. }) => Err(error),
        Err(ListError { read, error, .. }) => {
            let problem = json!({ "error": error.to_string(), "read": read });
            Ok((error.status(), Json(problem)).into_response())
        }
    }
}

async fn show_access(
    State(tour): State<Arc<Tour>>,
    token: WebflowToken,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    // Without the scope for sites, Webflow still answers an introspection.
    let sites_allowed = token.scopes().contains(&Scope::SITES_READ);
    let path = if sites_allowed { SITES } else { "/v2/token/introspect" };
    let (sites, limit, fault) = match ask(&token, path).await {
        Ok((sites, limit)) => (sites, limit, None),
        Err(error @ ApiError::Unauthorized { .. }) => return Err(error),
        Err(error) => (Value::Null, None, Some(error)),
    };
    let added = query.and_then(|query| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(name, _)| name == "added")
            .and_then(|(_, scope)| tour.offers.iter().find(|offer| offer.as_str() == scope))
    });
    let known = access::Known { sites: &sites, limit, fault };
    Ok(access::page(&tour, &token, added, &known))
}

async fn whoami(token: WebflowToken) -> Json<Value> {
    let scopes: Vec<_> = token.scopes().iter().map(Scope::as_str).collect();
    Json(json!({
        "subject": token.subject().as_str(),
        "scopes": scopes,
        "sites": token.sites(),
        "webflowUser": token.user().map(|user| json!({ "id": user.id, "email": user.email })),
    }))
}

async fn cms(token: WebflowToken, headers: HeaderMap) -> Response {
    if wants_html(&headers) {
        pages::cms()
    } else {
        Json(json!({ "cms": "writable", "sites": token.sites() })).into_response()
    }
}

async fn ask_to_leave(State(tour): State<Arc<Tour>>, _: WebflowToken) -> Response {
    leave::ask(&tour)
}

async fn signed_out(token: Option<WebflowToken>) -> Response {
    if token.is_some() { leave::still_there() } else { leave::signed_out() }
}

async fn disconnected(token: Option<WebflowToken>) -> Response {
    if token.is_some() { leave::still_there() } else { leave::disconnected() }
}

async fn not_found() -> Response {
    trouble::not_found()
}

async fn health(State(tour): State<Arc<Tour>>) -> (StatusCode, &'static str) {
    match tour.auth.handle().healthy().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the token store is not available"),
    }
}

/// A static file of the demo, cached forever.
fn file(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

//! The user who authorized a grant: on the token, and as an extractor.

use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use serde_json::json;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};
use tower_webflow_auth::{
    Scope, WebflowAuthLayer, WebflowToken, WebflowTokenRejection, WebflowUser,
    extract::RejectionReason,
};

use crate::support::App;
use crate::support::hostile::{eventually_by, settle};

const USER: &str = "/v2/token/authorized_by";

fn router(auth: &WebflowAuthLayer) -> Router {
    let email = |user: &WebflowUser| user.email.clone().unwrap_or_else(|| "no email".to_owned());
    Router::new()
        .route("/required", get(move |user: WebflowUser| async move { email(&user) }))
        .route(
            "/maybe",
            get(move |user: Option<WebflowUser>| async move {
                user.as_ref().map_or_else(|| "nobody".to_owned(), email)
            }),
        )
        .route(
            "/token",
            get(move |token: WebflowToken| async move {
                token.user().map_or_else(|| "nobody".to_owned(), email)
            }),
        )
        .layer(auth.clone())
        .route(
            "/optional",
            get(|user: Result<WebflowUser, WebflowTokenRejection>| async move {
                format!("{:?}", user.map_err(|error| error.reason()))
            })
            .layer(auth.optional()),
        )
        .route("/bare", get(|user: WebflowUser| async move { format!("{user:?}") }))
}

async fn app(scopes: &[Scope]) -> App {
    App::with_router(|builder| builder.scopes(scopes.to_vec()), router).await
}

async fn with_scope() -> App {
    app(&[Scope::SITES_READ, Scope::AUTHORIZED_USER_READ]).await
}

/// Logs in without visiting a route.
async fn connect(app: &App) -> TestBrowser {
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/token").await;
    let back = browser.step(&callback).await.unwrap();
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    browser
}

#[tokio::test]
async fn is_read_once_and_kept_with_the_grant() {
    let app = with_scope().await;
    let mut browser = connect(&app).await;
    for path in ["/required", "/maybe", "/token"] {
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(browser.visit(&app.url(path)).await.unwrap().text, "ada@example.com", "{path}");
    }
    let optional = browser.visit(&app.url("/optional")).await.unwrap().text;
    assert!(optional.starts_with("Ok(WebflowUser") && optional.contains("Lovelace"), "{optional}");
    assert_eq!(app.fake.requests_to(USER).len(), 1);
}

#[tokio::test]
async fn is_not_requested_without_the_scope() {
    let app = app(&[Scope::SITES_READ]).await;
    let mut browser = connect(&app).await;
    for path in ["/maybe", "/token"] {
        assert_eq!(browser.visit(&app.url(path)).await.unwrap().text, "nobody", "{path}");
    }
    let refused = browser.fetch(Method::GET, &app.url("/required")).await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:tower-webflow-auth:missing-scopes");
    assert_eq!(problem["missing_scopes"], "authorized_user:read");
    let page = browser.visit(&app.url("/required")).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(app.fake.requests_to(USER).is_empty());
}

#[tokio::test]
async fn is_looked_up_later_when_the_callback_could_not() {
    let app = with_scope().await;
    app.fake.fail_always(Endpoint::AuthorizedBy, Fault::Status(500));
    let mut browser = connect(&app).await;
    let pending = browser.fetch(Method::GET, &app.url("/required")).await.unwrap();
    assert_eq!(pending.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(pending.json()["type"], "urn:tower-webflow-auth:user-pending");
    assert_eq!(pending.headers["retry-after"], "10");
    assert_eq!(browser.visit(&app.url("/maybe")).await.unwrap().text, "nobody");
    settle().await;
    app.fake.heal();
    app.clock.advance(Duration::from_secs(10));
    eventually_by("the user", async || {
        browser.visit(&app.url("/required")).await.unwrap().text == "ada@example.com"
    })
    .await;
    assert_eq!(app.fake.requests_to("/v2/token/introspect").len(), 1);
}

#[tokio::test]
async fn malformed_responses_are_looked_up_again() {
    for odd in
        [Fault::body("text/html", "<html>"), Fault::json(200, &json!(null)), Fault::Truncated]
    {
        let app = with_scope().await;
        app.fake.fail_next(Endpoint::AuthorizedBy, odd.clone());
        let mut browser = connect(&app).await;
        eventually_by("the user", async || {
            browser.visit(&app.url("/token")).await.unwrap().text == "ada@example.com"
        })
        .await;
    }
}

#[tokio::test]
async fn omitted_fields_are_none() {
    let app = with_scope().await;
    app.fake.fail_next(Endpoint::AuthorizedBy, Fault::json(200, &json!({"email": null})));
    let mut browser = connect(&app).await;
    assert_eq!(browser.visit(&app.url("/required")).await.unwrap().text, "no email");
    assert_eq!(app.fake.requests_to(USER).len(), 1, "it is an answer");
}

#[tokio::test]
async fn missing_connection_and_missing_layer_are_distinguished() {
    let app = with_scope().await;
    let mut browser = TestBrowser::new();
    let nobody = browser.visit(&app.url("/optional")).await.unwrap().text;
    assert_eq!(nobody, format!("Err({:?})", RejectionReason::NotConnected));
    let bare = browser.visit(&app.url("/bare")).await.unwrap();
    assert_eq!(bare.status, StatusCode::INTERNAL_SERVER_ERROR);
    let script = browser.fetch(Method::GET, &app.url("/required")).await.unwrap();
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn is_removed_with_the_scope() {
    let app = with_scope().await;
    let mut browser = connect(&app).await;
    let shrunk = json!({"authorization": {"id": "a", "scope": "sites:read"}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &shrunk));
    let handle = app.auth.handle();
    let site = app.fake.workspaces()[0].sites()[0].id();
    handle.tokens_for_site(site).await.unwrap()[0].api().introspect().await.unwrap();
    eventually_by("no user", async || {
        browser.visit(&app.url("/token")).await.unwrap().text == "nobody"
    })
    .await;
}

//! The token as an axum extractor.

use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::get;
use serde_json::json;
use std::time::Duration;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};
use tower_webflow_auth::{WebflowToken, WebflowTokenRejection, extract::RejectionReason};

use crate::support::App;

async fn scopes(token: WebflowToken) -> String {
    token.scopes().to_string()
}

#[tokio::test]
async fn missing_layer_is_500_with_a_hint_for_both_extractors() {
    let app = App::with_router(
        |builder| builder,
        |_| {
            Router::new().route("/must", get(scopes)).route(
                "/may",
                get(|token: Option<WebflowToken>| async move { format!("{token:?}") }),
            )
        },
    )
    .await;
    for path in ["/must", "/may"] {
        let page = TestBrowser::new().visit(&app.url(path)).await.unwrap();
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(page.json()["detail"].as_str().unwrap().contains(".layer(auth.clone())"));
    }
}

#[tokio::test]
async fn required_extractor_behind_an_optional_layer_is_401() {
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().route("/x", get(scopes)).layer(auth.optional()),
    )
    .await;
    let page = TestBrowser::new().visit(&app.url("/x?a=b")).await.unwrap();
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.headers["content-type"], "application/problem+json");
    assert_eq!(page.json()["login_url"], "/auth/webflow/login?return_to=%2Fx%3Fa%3Db");
    assert!(page.set_cookies().is_empty());
}

#[tokio::test]
async fn rejection_exposes_its_reason() {
    let app = App::with_router(
        |builder| builder,
        |auth| {
            let handler = |token: Result<WebflowToken, WebflowTokenRejection>| async move {
                match token.map_err(|rejection| rejection.reason()) {
                    Err(RejectionReason::NotConnected) => "not connected",
                    Err(_) => "another reason",
                    Ok(_) => "connected",
                }
            };
            Router::new().route("/x", get(handler)).layer(auth.optional())
        },
    )
    .await;
    assert_eq!(TestBrowser::new().visit(&app.url("/x")).await.unwrap().text, "not connected");
}

#[tokio::test]
async fn nested_routers_match_the_original_uri() {
    let app = App::with_router(
        |builder| builder,
        |auth| {
            let inner = Router::new().route("/sites", get(scopes)).layer(auth.clone());
            Router::new()
                .nest("/app", inner)
                .route_service(auth.callback_path(), auth.endpoints_service())
        },
    )
    .await;
    let page = app.connect(&mut TestBrowser::new(), "/app/sites").await;
    assert_eq!((page.path(), page.text.as_str()), ("/app/sites", "sites:read cms:read"));
}

#[tokio::test]
async fn inner_layer_reuses_the_token() {
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().route("/x", get(scopes).layer(auth.optional())).layer(auth.clone()),
    )
    .await;
    let page = app.connect(&mut TestBrowser::new(), "/x").await;
    assert_eq!(page.text, "sites:read cms:read");
}

#[tokio::test]
async fn debug_and_display_hide_secrets() {
    let app = App::with_router(
        |builder| builder,
        |auth| {
            Router::new()
                .route("/x", get(|token: WebflowToken| async move { format!("{token:?}") }))
                .layer(auth.clone())
        },
    )
    .await;
    let debug = app.connect(&mut TestBrowser::new(), "/x").await.text;
    let bearer = app.fake.latest_token().unwrap();
    assert!(!debug.contains(&bearer), "{debug}");
    assert!(debug.contains("sites:read"), "{debug}");
    let layer = format!("{:?} {:?} {:?}", app.auth, app.fake, app.auth.handle());
    assert!(!layer.contains(app.fake.client_secret()), "{layer}");
}

#[tokio::test]
async fn api_errors_become_responses() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    for (fault, status) in [
        (Fault::Status(500), StatusCode::BAD_GATEWAY),
        (Fault::json(403, &json!({"code":"missing_scopes"})), StatusCode::FORBIDDEN),
        (rate_limited(), StatusCode::TOO_MANY_REQUESTS),
        (Fault::Reset, StatusCode::BAD_GATEWAY),
        (Fault::Truncated, StatusCode::BAD_GATEWAY),
        (Fault::body("text/html", "<html>"), StatusCode::BAD_GATEWAY),
        (Fault::Redirect("http://127.0.0.1:1/".into()), StatusCode::BAD_GATEWAY),
    ] {
        app.fake.fail_always(Endpoint::Sites, fault.clone());
        let page = browser.fetch(Method::GET, &app.url("/sites")).await.unwrap();
        assert_eq!(page.status, status, "{fault:?}: {}", page.text);
        assert_eq!(page.headers["content-type"], "application/problem+json");
        let wait = page.headers.get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
        assert_eq!(wait.as_deref(), matches!(fault, Fault::RateLimited { .. }).then_some("60"));
    }
}

#[tokio::test]
async fn htmx_gets_a_redirect_header() {
    let app = App::start().await;
    let mut headers = HeaderMap::new();
    headers.insert("hx-request", "true".parse().unwrap());
    headers.insert("hx-current-url", app.url("/deep/path?a=1").parse().unwrap());
    let url = app.url("/sites");
    let page = TestBrowser::new().send(Method::POST, &url, &headers, None).await.unwrap();
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let login = "/auth/webflow/login?return_to=%2Fdeep%2Fpath%3Fa%3D1";
    assert_eq!(page.headers["hx-redirect"], login);
    assert_eq!(page.json()["login_url"], login);
    headers.insert("hx-current-url", "https://evil.example/x".parse().unwrap());
    let page = TestBrowser::new().send(Method::POST, &url, &headers, None).await.unwrap();
    assert_eq!(page.headers["hx-redirect"], "/auth/webflow/login?return_to=%2F");
}

mod o6 {
    use super::*;

    #[tokio::test]
    async fn application_user_is_the_subject_and_strangers_get_no_session() {
        #[derive(Clone)]
        struct User(&'static str);

        async fn sign_in(
            headers: HeaderMap,
            mut request: axum::extract::Request,
            next: axum::middleware::Next,
        ) -> axum::response::Response {
            if headers.get("x-user").is_some_and(|user| user == "ada") {
                request.extensions_mut().insert(User("ada"));
            }
            next.run(request).await
        }

        let app = App::with_router(
            |builder| {
                builder.subject(|parts| {
                    parts
                        .extensions
                        .get::<User>()
                        .map(|user| tower_webflow_auth::Subject::user(user.0))
                })
            },
            |auth| {
                Router::new()
                    .route(
                        "/who",
                        get(|user: Extension<User>, token: WebflowToken| async move {
                            format!("{} {}", user.0.0, token.subject().as_str())
                        }),
                    )
                    .layer(auth.clone())
                    .layer(axum::middleware::from_fn(sign_in))
            },
        )
        .await;
        let mut stranger = TestBrowser::new();
        let page = stranger.visit(&app.url("/who")).await.unwrap();
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(page.text.contains("not-signed-in"), "{}", page.text);
        assert!(stranger.cookies("127.0.0.1").is_empty());

        let mut ada = HeaderMap::new();
        ada.insert("x-user", "ada".parse().unwrap());
        ada.insert("accept", "text/html".parse().unwrap());
        let mut browser = TestBrowser::new();
        let challenge = browser.send(Method::GET, &app.url("/who"), &ada, None).await.unwrap();
        let callback = app.fake.approve(challenge.location().unwrap().as_str()).unwrap();
        let back = browser.send(Method::GET, callback.as_str(), &ada, None).await.unwrap();
        assert_eq!(back.location().unwrap().path(), "/who");
        assert!(browser.cookies("127.0.0.1").is_empty(), "no session of our own: {browser:?}");
        let page = browser.send(Method::GET, &app.url("/who"), &ada, None).await.unwrap();
        assert_eq!(page.text, "ada user:ada");
    }
}

fn rate_limited() -> Fault {
    Fault::RateLimited { retry_after: Duration::from_secs(60) }
}

//! Recovery from tokens that Webflow rejects.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder};

use crate::support::hostile::{CALLBACK, TestStore, eventually, headers, second_instance};
use crate::support::{self, App};

/// The token of an outer layer, where an inner layer replaces it with its own.
#[derive(Clone)]
struct Outers(WebflowToken);

mod n8 {
    use super::*;

    #[tokio::test]
    async fn twenty_parallel_401s_remove_the_version_once() {
        let removed = Arc::new(AtomicUsize::new(0));
        let app = App::with({
            let removed = Arc::clone(&removed);
            |builder| {
                builder.on_revoked(move |_| {
                    removed.fetch_add(1, Ordering::SeqCst);
                    std::future::ready(())
                })
            }
        })
        .await;
        let browser = app.connected().await;
        app.fake.revoke_everything();
        let storm = (0..20).map(|_| {
            let (mut browser, url) = (browser.clone(), app.url("/sites"));
            async move { browser.fetch(Method::GET, &url).await.unwrap() }
        });
        for page in futures::future::join_all(storm).await {
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{}", page.text);
            assert!(page.json()["login_url"].is_string());
        }
        app.auth.shutdown().await;
        assert_eq!(removed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn ignores_reauthorize_for_another_subjects_token() {
        let store = TestStore::default();
        let named = Arc::new(Mutex::new(None::<WebflowToken>));
        let app = App::with_router(
            |builder| builder.store(store.clone()).subject(user),
            |auth| {
                let named = Arc::clone(&named);
                let accuse = move || {
                    let token = named.lock().unwrap().clone().unwrap();
                    async move { token.reauthorize() }
                };
                Router::new()
                    .route("/whoami", get(|| async { "here" }))
                    .route("/accuse", get(accuse))
                    .layer(auth.clone())
            },
        )
        .await;
        let navigate = |user: &str| headers(&[("x-user", user), ("sec-fetch-mode", "navigate")]);
        let mut browser = TestBrowser::new();
        for user in ["ada", "bob"] {
            let url = app.url("/whoami");
            let challenge = browser.send(Method::GET, &url, &navigate(user), None).await.unwrap();
            let callback = app.fake.approve(challenge.location().unwrap()).unwrap();
            browser.send(Method::GET, callback.as_str(), &navigate(user), None).await.unwrap();
        }
        assert_eq!(store.rows().len(), 2);
        *named.lock().unwrap() = app.auth.handle().token(&Subject::user("bob")).await.unwrap();
        let url = app.url("/accuse");
        let page = browser.send(Method::GET, &url, &navigate("ada"), None).await.unwrap();
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "the handler's own answer");
        assert!(page.text.contains("token-refused"), "{}", page.text);
        assert!(page.set_cookies().is_empty(), "and no flow is begun");
        assert_eq!(store.rows().len(), 2, "bob's grant is bob's affair");
    }

    #[tokio::test]
    async fn inner_layer_ignores_reauthorize_for_an_outer_token() {
        async fn stash(mut request: Request, next: Next) -> Response {
            let outers = request.extensions().get::<WebflowToken>().unwrap().clone();
            request.extensions_mut().insert(Outers(outers));
            next.run(request).await
        }
        async fn accuse_outer(Extension(Outers(token)): Extension<Outers>) -> Response {
            token.reauthorize().into_response()
        }
        let outer = App::with_router(
            |builder| builder.subject(user),
            |auth| Router::new().route("/connect", get(|| async { "outer" })).layer(auth.clone()),
        )
        .await;
        let store = TestStore::default();
        let layer = outer.auth.clone();
        let inner =
            second_instance(&outer, |builder| builder.subject(user).store(store.clone())).await;
        let both = Router::new()
            .route("/accuse", get(accuse_outer))
            .layer(inner.auth.clone())
            .layer(axum::middleware::from_fn(stash))
            .layer(layer);
        // Ada has connected both, each through its own callback.
        for (app, path) in [(&outer, "/connect"), (&inner, "/whoami")] {
            let navigate = headers(&[("x-user", "ada"), ("sec-fetch-mode", "navigate")]);
            let mut browser = TestBrowser::new();
            let url = app.url(path);
            let challenge = browser.send(Method::GET, &url, &navigate, None).await.unwrap();
            let callback = outer.fake.approve(challenge.location().unwrap()).unwrap();
            let query = callback.query().unwrap();
            let url = app.url(&format!("{CALLBACK}?{query}"));
            let done = browser.send(Method::GET, &url, &navigate, None).await.unwrap();
            assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
        }
        let mut request = Request::builder().uri("/accuse").body(Body::empty()).unwrap();
        *request.headers_mut() = headers(&[("x-user", "ada"), ("sec-fetch-mode", "navigate")]);
        let response = both.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let location = response.headers()["location"].to_str().unwrap();
        assert!(
            location.contains("/oauth/authorize"),
            "the outer layer asks for consent: {location}"
        );
        let ada = Subject::user("ada");
        assert!(outer.auth.handle().token(&ada).await.unwrap().is_none(), "its token is forgotten");
        assert!(inner.auth.handle().token(&ada).await.unwrap().is_some(), "the other's is not");
        assert_eq!(store.rows().len(), 1);
    }
}

mod s4 {
    use super::*;

    #[tokio::test]
    async fn another_users_rejected_token_does_not_redirect_this_user() {
        let dead = Arc::new(std::sync::Mutex::new(None::<WebflowToken>));
        let app = App::with_router(
            |builder| builder,
            |auth| {
                let (kept, used) = (Arc::clone(&dead), dead);
                let lend = move |token: WebflowToken| async move {
                    *kept.lock().unwrap() = Some(token);
                    "lent"
                };
                let borrow = move |_own: WebflowToken| async move {
                    used.lock().unwrap().as_ref().unwrap().reauthorize().into_response()
                };
                let router = Router::new().route("/lend", get(lend)).route("/borrow", get(borrow));
                support::router(auth).merge(router.layer(auth.clone()))
            },
        )
        .await;
        let mut lender = app.connected().await;
        let mut borrower = app.connected().await;
        assert_eq!(lender.visit(&app.url("/lend")).await.unwrap().text, "lent");
        let page = borrower.step(&app.url("/borrow")).await.unwrap();
        assert_eq!(
            page.status,
            StatusCode::UNAUTHORIZED,
            "the handler's own answer: {}",
            page.text
        );
        assert!(page.set_cookies().is_empty());
        assert_eq!(borrower.visit(&app.url("/sites")).await.unwrap().status, StatusCode::OK);
        // The token's owner is asked for a new grant, as after any 401.
        let page = lender.step(&app.url("/sites")).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER);
    }
}

/// The usual application and `/late`, whose handler calls Webflow and responds only after the test
/// has opened the gate by closing the semaphore.
async fn with_late_answers(
    change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
) -> (App, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, held) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (answers, holding) = (Arc::clone(&gate), Arc::clone(&held));
    let late = move |token: WebflowToken| async move {
        let answer = token.api().get("/v2/sites").send().await;
        holding.fetch_add(1, Ordering::SeqCst);
        answers.acquire().await.expect_err("closed");
        answer.map(|_| "sites")
    };
    let router = |auth: &WebflowAuthLayer| {
        let late = Router::new().route("/late", get(late)).layer(auth.clone());
        support::router(auth).merge(late)
    };
    (App::with_router(change, router).await, gate, held)
}

#[tokio::test]
async fn late_401_keeps_the_newer_token() {
    let (app, gate, held) = with_late_answers(|builder| builder).await;
    let mut first_tab = app.connected().await;
    let mut second_tab = first_tab.clone();
    app.fake.revoke_everything();
    let url = app.url("/late");
    let renews = async {
        eventually("Webflow's 401", || held.load(Ordering::SeqCst) == 1).await;
        let renewed = app.connect(&mut second_tab, "/sites").await;
        gate.close();
        renewed
    };
    let (late, renewed) = tokio::join!(first_tab.fetch(Method::GET, &url), renews);
    assert_eq!(renewed.status, StatusCode::OK);
    assert_eq!(late.unwrap().status, StatusCode::UNAUTHORIZED);
    assert_eq!(second_tab.visit(&app.url("/sites")).await.unwrap().status, StatusCode::OK);
    assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (2, 1));
}

#[tokio::test]
async fn retry_uses_the_renewed_token() {
    let ada = |builder: WebflowAuthBuilder| builder.subject(|_| Some(Subject::user("ada")));
    let (app, gate, held) = with_late_answers(ada).await;
    let mut tab = app.connected().await;
    app.fake.revoke_everything();
    let mut other = tab.clone();
    let url = app.url("/late");
    let renews = async {
        eventually("Webflow's 401", || held.load(Ordering::SeqCst) == 1).await;
        let renewed = app.connect(&mut other, "/auth/webflow/login").await;
        gate.close();
        renewed
    };
    let (late, renewed) = tokio::join!(tab.step(&url), renews);
    assert_eq!(renewed.path(), "/");
    let late = late.unwrap();
    assert_eq!((late.status, late.location().unwrap().path()), (StatusCode::SEE_OTHER, "/late"));
    assert_eq!(tab.visit(&url).await.unwrap().status, StatusCode::OK, "no second consent");
    assert_eq!(app.fake.issued_tokens(), 2);
}

/// An application's own error type, which wraps the crate's error.
struct AppError(ApiError);

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[tokio::test]
async fn custom_error_type_recovers_too() {
    async fn handler(token: WebflowToken) -> Result<String, AppError> {
        token.api().get("/v2/sites").send().await.map_err(AppError)?.text().await.map_err(AppError)
    }
    async fn by_hand(token: WebflowToken) -> Response {
        token.reauthorize().into_response()
    }
    let app = App::with_router(
        |builder| builder,
        |auth| {
            Router::new()
                .route("/sites", get(handler))
                .route("/by-hand", get(by_hand))
                .layer(auth.clone())
        },
    )
    .await;
    let mut browser = app.connected().await;
    app.fake.revoke_everything();
    assert_eq!(app.connect(&mut browser, "/sites").await.status, StatusCode::OK);
    app.clock.advance(std::time::Duration::from_secs(60));
    let challenge = browser.step(&app.url("/by-hand")).await.unwrap();
    assert_eq!(challenge.status, StatusCode::SEE_OTHER);
    assert_eq!(challenge.location().unwrap().path(), "/oauth/authorize");
}

fn user(parts: &Parts) -> Option<Subject> {
    Some(Subject::user(parts.headers.get("x-user")?.to_str().ok()?))
}

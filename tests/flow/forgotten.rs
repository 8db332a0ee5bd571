//! Tokens whose rejection is noticed late: by the next request, at another instance, or repeatedly
//! by an application that keeps its own copies of tokens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken};

use crate::support::App;
use crate::support::hostile::eventually;
use crate::support::hostile::{OnRemove, TestStore, second_instance};

/// Handlers that do not report Webflow's 401.
fn secretive(auth: &WebflowAuthLayer) -> Router {
    let swallow = |token: WebflowToken| async move {
        token.api().get("/v2/sites").send().await.map_or("failed", |_| "fine")
    };
    Router::new().route("/x", get(swallow)).layer(auth.clone())
}

mod n8 {
    use super::*;

    #[tokio::test]
    async fn application_hears_of_a_token_removed_by_the_next_request() {
        let revoked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&revoked);
        let app = App::with_router(
            move |builder| {
                builder.on_revoked(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                    std::future::ready(())
                })
            },
            secretive,
        )
        .await;
        let mut browser = TestBrowser::new();
        assert_eq!(app.connect(&mut browser, "/x").await.text, "fine");
        app.fake.revoke_everything();
        assert_eq!(browser.visit(&app.url("/x")).await.unwrap().text, "failed");
        assert_eq!(app.connect(&mut browser, "/x").await.text, "fine");
        eventually("the hook hears of it", || revoked.load(Ordering::SeqCst) == 1).await;
    }

    #[tokio::test]
    async fn token_replaced_by_another_instance_needs_no_consent() {
        let store = TestStore::default();
        let ada = |_: &_| Some(Subject::user("ada"));
        let app =
            App::with_router(|builder| builder.store(store.clone()).subject(ada), secretive).await;
        let other =
            second_instance(&app, |builder| builder.store(store.clone()).subject(ada)).await;
        let mut browser = TestBrowser::new();
        app.connect(&mut browser, "/x").await;
        app.fake.revoke_everything();
        browser.visit(&app.url("/x")).await.unwrap();
        // Meanwhile she has connected again, at another instance.
        let mut elsewhere = TestBrowser::new();
        let login = elsewhere.step(&other.url("/auth/webflow/login")).await.unwrap();
        let callback = app.fake.approve(login.location().unwrap()).unwrap();
        let there = callback.as_str().replace(&app.address.to_string(), &other.address.to_string());
        assert_eq!(elsewhere.step(&there).await.unwrap().status, StatusCode::SEE_OTHER);
        let page = browser.step(&app.url("/x")).await.unwrap();
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "fine"));
        assert_eq!(app.fake.issued_tokens(), 2);
    }

    #[tokio::test]
    async fn application_with_an_old_token_causes_no_redirect_loop() {
        let kept = Arc::new(Mutex::new(None::<WebflowToken>));
        let app = App::with_router(
            |builder| builder.subject(|_| Some(Subject::user("ada"))),
            |auth| {
                let first = move |token: WebflowToken| async move {
                    let token = kept.lock().unwrap().get_or_insert(token).clone();
                    match token.api().get("/v2/sites").send().await {
                        Ok(_) => "fine".into_response(),
                        Err(error) => error.into_response(),
                    }
                };
                Router::new().route("/x", get(first)).layer(auth.clone())
            },
        )
        .await;
        let mut browser = TestBrowser::new();
        assert_eq!(app.connect(&mut browser, "/x").await.text, "fine");
        app.fake.revoke_everything();
        // The first token is removed and replaced, and then used again.
        let page = app.connect(&mut browser, "/x").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(page.text.contains("token-replaced"), "{}", page.text);
        assert_eq!(app.fake.issued_tokens(), 2);
    }
}

mod n12 {
    use super::*;

    #[tokio::test]
    async fn rejected_token_that_cannot_be_removed_is_a_503() {
        let store = TestStore::default();
        let app = App::with_router(|builder| builder.store(store.clone()), secretive).await;
        let mut browser = TestBrowser::new();
        app.connect(&mut browser, "/x").await;
        app.fake.revoke_everything();
        browser.visit(&app.url("/x")).await.unwrap();
        store.on_remove(OnRemove::Refuse);
        let page = browser.step(&app.url("/x")).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(page.headers.contains_key("retry-after") && page.set_cookies().is_empty());
        store.on_remove(OnRemove::Remove);
        // It is still stored but known to be dead, so no handler gets it again.
        assert_eq!(app.connect(&mut browser, "/x").await.text, "fine");
    }
}

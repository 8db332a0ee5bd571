//! Retries: after a transient failure, or if another instance is faster, nothing is lost and
//! nothing is done twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

use crate::support::App;
use crate::support::hostile::{OnSave, TestStore, eventually, second_instance};

async fn two_instances() -> (TestStore, App, App) {
    let store = TestStore::default();
    let first = App::with(|builder| builder.store(store.clone())).await;
    let second = second_instance(&first, |builder| builder.store(store.clone())).await;
    (store, first, second)
}

mod s9 {
    use super::*;

    #[tokio::test]
    async fn callback_at_two_instances_stores_one_grant() {
        let (store, first, second) = two_instances().await;
        let mut browser = TestBrowser::new();
        let callback = first.callback(&mut browser, "/sites").await;
        let elsewhere = callback.replace(&first.address.to_string(), &second.address.to_string());
        // The first instance has found nothing in the store, and is calling Webflow.
        first.fake.fail_next(Endpoint::Token, Fault::Delay(Duration::from_millis(500)));
        let mut slow = browser.clone();
        let faster = async {
            first.fake.wait_for_requests("/oauth/access_token", 1).await;
            browser.step(&elsewhere).await.unwrap()
        };
        let (slow, fast) = tokio::join!(slow.step(&callback), faster);
        for page in [slow.unwrap(), fast] {
            assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
            assert_eq!(page.location().unwrap().path(), "/sites");
        }
        assert_eq!(first.fake.requests_to("/oauth/access_token").len(), 2, "both have asked");
        assert_eq!((first.fake.issued_tokens(), store.rows().len()), (1, 1));
    }

    #[tokio::test]
    async fn reload_finds_the_grant_stored_late_by_another_instance() {
        let (store, first, second) = two_instances().await;
        let mut browser = TestBrowser::new();
        let callback = first.callback(&mut browser, "/whoami").await;
        let elsewhere = callback.replace(&first.address.to_string(), &second.address.to_string());
        // The browser abandons the first click, and never sees its response.
        store.on_save(OnSave::Gate);
        let mut given_up = browser.clone();
        let given_up = tokio::spawn(async move { given_up.step(&callback).await });
        eventually("the grant is being written", || store.saves.load(Ordering::SeqCst) == 1).await;
        let page = browser.step(&elsewhere).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        store.open_gate();
        given_up.await.unwrap().unwrap();
        let page = browser.step(&elsewhere).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let page = browser.visit(&second.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert_eq!((first.fake.issued_tokens(), store.rows().len()), (1, 1));
    }
}

mod n5 {
    use super::*;

    #[tokio::test]
    async fn failed_write_is_retried() {
        let store = TestStore::default();
        let app = App::with(|builder| builder.store(store.clone())).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Refuse);
        let recovers = async {
            eventually("a first write", || store.saves.load(Ordering::SeqCst) > 0).await;
            store.on_save(OnSave::Keep);
        };
        let (page, ()) = tokio::join!(browser.step(&callback), recovers);
        assert_eq!(page.unwrap().status, StatusCode::SEE_OTHER);
        assert_eq!(
            (app.fake.issued_tokens(), app.fake.live_tokens(), store.rows().len()),
            (1, 1, 1)
        );
    }

    #[tokio::test]
    async fn token_that_cannot_be_stored_or_revoked_is_revoked_later() {
        let store = TestStore::default();
        let app = App::with(|builder| builder.store(store.clone())).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Refuse);
        app.fake.fail_next(Endpoint::Revoke, Fault::Status(503));
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (1, 1));
        eventually("the revocation", || app.fake.live_tokens() == 0).await;
    }
}

//! The time limit of a callback, and a shutdown that waits for work that outlives its request.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

use crate::support::App;
use crate::support::hostile::{OnRemove, OnSave, TestStore, eventually};

mod e2_one_budget_for_a_callback {
    use super::*;

    /// A store whose writes hang, as SQLite's do while another process holds the write lock.
    #[tokio::test]
    async fn hanging_writes_end_in_503_within_ten_seconds_and_the_token_is_revoked() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(|builder| builder.store(kept)).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Gate);
        store.on_remove(OnRemove::Gate);
        let started = Instant::now();
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
        assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (1, 0));
    }

    #[tokio::test]
    async fn a_hanging_exchange_and_a_hanging_revocation_share_it() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(|builder| builder.store(kept)).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Refuse);
        app.fake.fail_next(Endpoint::Introspect, Fault::Hang);
        app.fake.fail_next(Endpoint::Revoke, Fault::Hang);
        let started = Instant::now();
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    }
}

mod e16_shutdown {
    use super::*;

    #[tokio::test]
    async fn waits_for_an_exchange_after_its_client_disconnected() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(|builder| builder.store(kept)).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Gate);
        {
            let arriving = browser.step(&callback);
            let gone =
                async { eventually("a write", || store.saves.load(Ordering::SeqCst) == 1).await };
            tokio::select! { _ = arriving => panic!("the write waits"), () = gone => {} }
        }
        let shutdown = app.auth.shutdown();
        let open = async {
            tokio::task::yield_now().await;
            store.open_gate();
        };
        let (ended, ()) = tokio::join!(shutdown, open);
        assert!(ended);
        assert_eq!(store.rows().len(), 1);
        assert_eq!(app.fake.live_tokens(), 1);
    }

    #[tokio::test]
    async fn rejects_later_callbacks_before_their_exchange() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        assert!(app.auth.shutdown().await);
        assert!(app.auth.shutdown().await, "idempotent");
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(page.headers.contains_key("retry-after"));
        assert_eq!(app.fake.issued_tokens(), 0);
        assert!(!browser.cookies("127.0.0.1").is_empty(), "the flow can be completed later");
    }
}

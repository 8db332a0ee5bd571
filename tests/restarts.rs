//! Restarts Postgres and Redis under the application. A separate binary, since test binaries run
//! one after another and no other test may need the engines at the same time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use tower_webflow_auth::store::{PostgresStore, RedisStore, TokenStore};
use tower_webflow_auth::testing::TestBrowser;

use crate::support::App;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}

/// Stops and starts an engine with the script that `scripts/with-servers` leaves behind.
fn control(name: &str, action: &str) {
    let status = Command::new(setting(name))
        .arg(action)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{name} {action}");
}

/// Grants stored before, between and after two outages are usable at the end, no token is lost or
/// left over at Webflow, and an outage never causes a challenge.
async fn outlives_restarts(store: impl TokenStore, ctl: &str) {
    let app = App::with(|builder| builder.store(store)).await;
    let mut browsers: Vec<TestBrowser> = vec![app.connected().await, app.connected().await];
    for _ in 0..2 {
        let mut late = TestBrowser::new();
        let callback = app.callback(&mut late, "/whoami").await;
        control(ctl, "stop");
        app.clock.advance(Duration::from_secs(60));
        for browser in &mut browsers {
            let page = browser.step(&app.url("/whoami")).await.unwrap();
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        }
        // A flow that returns while the database is down gets an error, and loses no token.
        let page = late.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        control(ctl, "start");
        app.clock.advance(Duration::from_secs(60));
        let mut page = late.visit(&callback).await.unwrap();
        for _ in 0..50 {
            if page.status != StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            app.clock.advance(Duration::from_secs(1));
            page = late.visit(&callback).await.unwrap();
        }
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
        browsers.push(late);
    }
    for browser in &mut browsers {
        let page = browser.visit(&app.url("/sites")).await.unwrap();
        assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK), "{}", page.text);
    }
    assert_eq!(app.fake.live_tokens(), browsers.len());
}

#[tokio::test]
#[ignore = "restarts Postgres: run scripts/test"]
async fn tokens_survive_two_postgres_restarts() {
    let store = PostgresStore::builder().table("restarted");
    let store = store.connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    outlives_restarts(store, "TEST_POSTGRES_CTL").await;
}

#[tokio::test]
#[ignore = "restarts Redis: run scripts/test"]
async fn tokens_survive_two_redis_restarts() {
    let store = RedisStore::builder().key_prefix("restarted");
    let store = store.connect(&setting("TEST_REDIS_URL")).await.unwrap();
    outlives_restarts(store, "TEST_REDIS_CTL").await;
}

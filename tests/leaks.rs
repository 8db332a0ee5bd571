//! What may never be logged: O5 of the threat model. A file of its own, since the subscriber is the
//! whole process' and other tests would race for its call sites.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use support::{App, Log};
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

#[tokio::test]
async fn o5_no_secret_is_logged_at_any_level_by_anybody() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    let flow_cookie = browser.cookies("127.0.0.1")[0].1.clone();
    browser.visit(&callback).await.unwrap();
    let session = browser.cookies("127.0.0.1")[0].1.clone();
    app.fake.fail_next(Endpoint::Sites, Fault::Status(500));
    browser.visit(&app.url("/sites")).await.unwrap();
    let token = app.fake.latest_token().unwrap();
    browser.submit(&app.url("/auth/webflow/logout?revoke=true")).await.unwrap();
    let parameter =
        |name: &str| callback.split(name).nth(1).unwrap().split('&').next().unwrap().to_owned();
    // The client's and the server's libraries log at TRACE too, and so does the stand-in.
    let text = log.text();
    for step in ["flow started", "code exchanged", "grant stored", "disconnected", "hyper"] {
        assert!(text.contains(step), "{step} in {text}");
    }
    for (name, secret) in [
        ("token", token.as_str()),
        ("client secret", app.fake.client_secret()),
        ("code", &parameter("code=")),
        ("state", &parameter("state=")),
        ("flow cookie", &flow_cookie),
        ("session cookie", &session),
        ("key", support::KEY),
    ] {
        assert!(!text.contains(secret), "the {name} is in the log: {text}");
    }
}

//! What must never be logged: O5 of the threat model. A separate binary, since the subscriber, the
//! panic hook and the metrics recorder are global to the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::io::Write as _;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tower_webflow_auth::store::{MemoryStore, SqliteStore, TokenStore};
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

use crate::support::hostile::{
    self, CALLBACK, HOST, LOGOUT, OnLoad, OnSave, TestStore, cookie_line, raw_get, raw_request,
};
use crate::support::log::Log;
use crate::support::secrets::Secrets;
use crate::support::{App, KEY};

/// Captures all output: events and spans of every library at TRACE, including the `log` facade,
/// panic messages, and names and labels of metrics.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        let writer = Mutex::new(log.clone());
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            writeln!(writer.lock().unwrap(), "panicked: {panic}").unwrap();
            usual(panic);
        }));
        #[cfg(feature = "metrics")]
        metrics::set_global_recorder(labels::Labels(log.clone())).unwrap();
        log
    })
}

/// What a complete log contains: events of this crate and of every library beneath, a panic
/// message, and metrics.
const EXPECTED: &[&str] = &[
    "flow started",
    "code exchanged",
    "grant stored",
    "disconnected",
    "callback refused",
    "could not store the grant",
    "hyper_util::client",
    "h2::",
    "reqwest::",
    "sqlx::",
    "panicked: ",
    #[cfg(feature = "metrics")]
    "metric counter",
    #[cfg(feature = "metrics")]
    "metric histogram",
];

#[cfg(feature = "metrics")]
mod labels {
    use std::io::Write as _;

    use crate::support::log::Log;

    /// A recorder that logs every metric that is registered, with its labels.
    pub(crate) struct Labels(pub(crate) Log);

    impl Labels {
        fn note(&self, kind: &str, key: &metrics::Key) {
            writeln!(self.0.clone(), "metric {kind} {key:?}").unwrap();
        }
    }

    impl metrics::Recorder for Labels {
        fn describe_counter(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
        }
        fn describe_gauge(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
        }
        fn describe_histogram(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
        }

        fn register_counter(
            &self,
            key: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Counter {
            self.note("counter", key);
            metrics::Counter::noop()
        }

        fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            self.note("gauge", key);
            metrics::Gauge::noop()
        }

        fn register_histogram(
            &self,
            key: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Histogram {
            self.note("histogram", key);
            metrics::Histogram::noop()
        }
    }
}

async fn app(store: impl TokenStore) -> App {
    App::with(|builder| builder.store(store).timeout(Duration::from_millis(500))).await
}

/// The secrets of a flow: its state, its code, and the browser's current cookies.
async fn begin(app: &App, browser: &mut TestBrowser, path: &str, secrets: &mut Secrets) -> String {
    let callback = app.callback(browser, path).await;
    secrets.add("code", &hostile::parameter(&callback, "code"));
    secrets.add("state", &hostile::parameter(&callback, "state"));
    keep_cookies(browser, secrets);
    callback
}

fn keep_cookies(browser: &TestBrowser, secrets: &mut Secrets) {
    for (name, value) in browser.cookies(HOST) {
        secrets.add(&format!("cookie {name}"), &value);
    }
}

fn keep_token(app: &App, secrets: &mut Secrets) {
    secrets.add("access token", &app.fake.latest_token().unwrap());
}

/// A whole life cycle: login, callback, calls, dead token, step-up, logout with revocation.
async fn live(app: &App, secrets: &mut Secrets) {
    secrets.add("client secret", app.fake.client_secret());
    secrets.add("key", KEY);
    let mut browser = TestBrowser::new();
    let callback = begin(app, &mut browser, "/sites?page=2", secrets).await;
    browser.visit(&callback).await.unwrap();
    keep_cookies(&browser, secrets);
    keep_token(app, secrets);
    let token = app.fake.latest_token().unwrap();

    // Webflow echoes the token in every response.
    for status in [400, 403, 404, 409, 500] {
        let body = json!({"code": token, "message": format!("Bearer {token}\n{token}"),
            "externalReference": token, "details": [{"authorization": token}]});
        app.fake.fail_always(Endpoint::Sites, Fault::json(status, &body));
        let page = browser.visit(&app.url("/sites")).await.unwrap();
        app.fake.heal();
        secrets.assert_unseen("an answer", &page.text);
    }
    for fault in
        [Fault::Reset, Fault::Hang, Fault::Truncated, Fault::body("text/html", token.clone())]
    {
        app.fake.fail_always(Endpoint::Sites, fault);
        browser.visit(&app.url("/sites")).await.unwrap();
        app.fake.heal();
    }

    // The same over HTTP/2, whose library logs too.
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<bytes::Bytes>>();
    let request = axum::http::Request::get(app.url("/whoami"))
        .header("cookie", cookie_line(&browser).strip_prefix("Cookie: ").unwrap())
        .body(Empty::new())
        .unwrap();
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();

    // Malformed cookies, and refused callbacks.
    let line = cookie_line(&browser);
    raw_get(app, "/sites", &[&line[..line.len() - 3]]).await;
    raw_get(app, "/sites", &[&format!("{line}\u{e9}=")]).await;
    let stranger = begin(app, &mut TestBrowser::new(), "/sites", secrets).await;
    let query = stranger.split_once('?').unwrap().1;
    let page = raw_get(app, &format!("{CALLBACK}?{query}"), &[&line]).await;
    secrets.assert_unseen("the refusal", &page.body);
    let denied = format!("{CALLBACK}?error=access_denied&error_description={query}&{query}");
    raw_get(app, &denied, &[&line]).await;
    raw_request(app, "POST", LOGOUT, &[&line, "Origin: https://evil.example"]).await;

    // Webflow rejects the token: a script gets a 401, a navigation a new consent.
    app.fake.revoke(&token);
    let callback = begin(app, &mut browser, "/sites", secrets).await;
    browser.visit(&callback).await.unwrap();
    keep_cookies(&browser, secrets);
    keep_token(app, secrets);
    app.connect(&mut browser, "/cms").await;
    keep_cookies(&browser, secrets);
    keep_token(app, secrets);

    // A revocation that fails and echoes the request, then one that succeeds.
    let token = app.fake.latest_token().unwrap();
    let echo = json!({"error": token, "message": app.fake.client_secret()});
    app.fake.fail_next(Endpoint::Revoke, Fault::json(400, &echo));
    browser.submit(&app.url(&format!("{LOGOUT}?revoke=true"))).await.unwrap();
    app.connect(&mut browser, "/sites").await;
    keep_cookies(&browser, secrets);
    keep_token(app, secrets);
    browser.submit(&app.url(&format!("{LOGOUT}?revoke=true"))).await.unwrap();
}

/// Exchanges that fail in every way, with responses that echo the request.
async fn fail(app: &App, secrets: &mut Secrets) {
    let client_secret = app.fake.client_secret().to_owned();
    for status in [200, 400, 401, 418, 500] {
        let mut browser = TestBrowser::new();
        let callback = begin(app, &mut browser, "/sites", secrets).await;
        let code = hostile::parameter(&callback, "code");
        let said = format!("{client_secret} {code}");
        for body in [
            json!({"error": code, "error_description": said, "code": client_secret}),
            json!({"error": "invalid_client", "error_description": said}),
            json!({"access_token": format!("{client_secret}\r\n"), "code": [said]}),
        ] {
            app.fake.fail_next(Endpoint::Token, Fault::json(status, &body));
            let page = browser.step(&callback).await.unwrap();
            secrets.assert_unseen("the page of a failed exchange", &page.text);
        }
    }
    for fault in [
        Fault::Reset,
        Fault::Hang,
        Fault::Huge(1 << 20),
        Fault::Redirect(format!("http://127.0.0.1:9/{client_secret}")),
        Fault::body("text/plain", client_secret.clone()),
    ] {
        let mut browser = TestBrowser::new();
        let callback = begin(app, &mut browser, "/sites", secrets).await;
        app.fake.fail_always(Endpoint::Token, fault);
        browser.step(&callback).await.unwrap();
        app.fake.heal();
    }
}

mod o5 {
    use super::*;

    #[tokio::test]
    async fn no_secret_is_logged_at_any_level() {
        let log = log();
        let mut secrets = Secrets::default();
        let folder = tempfile::tempdir().unwrap();
        live(&app(MemoryStore::new()).await, &mut secrets).await;
        let sqlite = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
        live(&app(sqlite).await, &mut secrets).await;
        let store = TestStore::default();
        let failing = app(store.clone()).await;
        fail(&failing, &mut secrets).await;

        // A store that fails, then one that panics, with a token in hand.
        store.on_save(OnSave::Refuse);
        let mut browser = TestBrowser::new();
        let callback = begin(&failing, &mut browser, "/sites", &mut secrets).await;
        assert_eq!(browser.step(&callback).await.unwrap().status.as_u16(), 503);
        keep_token(&failing, &mut secrets);
        store.on_save(OnSave::Keep);
        let mut browser = failing.connected().await;
        keep_token(&failing, &mut secrets);
        keep_cookies(&browser, &mut secrets);
        failing.clock.advance(Duration::from_secs(60));
        for what in [OnLoad::Refuse, OnLoad::Panic] {
            store.on_load(what);
            assert!(browser.visit(&failing.url("/sites")).await.unwrap().status.is_server_error());
            failing.clock.advance(Duration::from_secs(60));
        }

        let text = log.text();
        let missing: Vec<_> = EXPECTED.iter().filter(|step| !text.contains(**step)).collect();
        assert!(missing.is_empty(), "the log has nothing of {missing:?}: it is not the whole");
        assert!(secrets.len() > 60, "{}", secrets.len());
        secrets.assert_unseen("the log", &text);
    }

    #[cfg(all(feature = "postgres", feature = "redis"))]
    #[tokio::test]
    #[ignore = "needs Postgres and Redis: run scripts/test"]
    async fn no_secret_is_logged_with_postgres_or_redis() {
        use tower_webflow_auth::store::{PostgresStore, RedisStore};

        let log = log();
        let mut secrets = Secrets::default();
        let url = std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL: run scripts/test");
        let postgres = PostgresStore::builder().table("secrets").connect(&url).await.unwrap();
        live(&app(postgres).await, &mut secrets).await;
        let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run scripts/test");
        let redis = RedisStore::builder().key_prefix("secrets").connect(&url).await.unwrap();
        live(&app(redis).await, &mut secrets).await;
        secrets.assert_unseen("the log", &log.text());
    }
}

#[test]
fn every_encoding_of_a_secret_is_found() {
    let mut secrets = Secrets::default();
    secrets.add("password", "s3cret+/pass word");
    for seen in [
        "s3cret+/pass word",
        "?p=s3cret%2B%2Fpass%20word&",
        "?p=s3cret%2b%2fpass%20word",
        &STANDARD.encode("s3cret+/pass word"),
        &STANDARD.encode("id:s3cret+/pass word!"),
        &URL_SAFE.encode("i:s3cret+/pass word"),
        &format!("{:?}", b"s3cret+/pass word"),
        "7333637265742B2F7061737320776F7264",
    ] {
        assert!(secrets.seen_in(&format!("a\nb {seen} c\nd")).is_some(), "{seen}");
    }
    assert_eq!(secrets.seen_in("s3cret, another pass word"), None);
}

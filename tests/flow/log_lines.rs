//! Every log line that the guide quotes is logged when its event happens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use serde_json::json;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};
use tower_webflow_auth::{Keyring, Scope, Subject, WebflowAuthLayer, WebflowToken};

use crate::support::hostile::{
    CALLBACK, OnLoad, OnSave, TestStore, begin, eventually, headers, second_instance,
};
use crate::support::log::{Log, logged};
use crate::support::{App, router};

/// A log line without the values that differ from run to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    level: String,
    target: String,
    message: String,
    fields: Vec<String>,
}

impl Line {
    /// Reads `LEVEL target: message name=value ..`. Only `kind` and `reason` keep their value.
    fn read(line: &str) -> Option<Self> {
        let (level, rest) = line.trim_start().split_once(' ')?;
        let (target, rest) = rest.trim_start().split_once(": ")?;
        let mut message = Vec::new();
        let mut fields: Vec<String> = Vec::new();
        for word in rest.split(' ') {
            let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.');
            match word.split_once('=').filter(|(name, _)| is_name(name)) {
                Some(("kind" | "reason", _)) => fields.push(word.to_owned()),
                Some((name, _)) => fields.push(name.to_owned()),
                None if fields.is_empty() => message.push(word),
                None => match fields.last_mut() {
                    // A quoted value may contain spaces.
                    Some(last) if last.contains('=') => *last = format!("{last} {word}"),
                    _ => {}
                },
            }
        }
        // The subscriber adds the sources of an error, if there are any.
        fields.retain(|name| name != "error.sources");
        let [level, target] = [level, target].map(str::to_owned);
        Some(Self { level, target, message: message.join(" "), fields })
    }
}

fn quoted() -> Vec<(String, Line)> {
    let mut quoted = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide")).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        for block in page.split("```log\n").skip(1) {
            for line in block.split("```").next().unwrap().lines() {
                quoted.push((line.to_owned(), Line::read(line).expect("a log line")));
            }
        }
    }
    quoted
}

#[tokio::test]
async fn guide_quotes_lines_that_are_logged() {
    let (log, _capture) = logged();
    logins().await;
    callbacks(&log).await;
    exchanges().await;
    grants_and_calls().await;
    store().await;
    let text = log.text();
    let events = text.lines().filter_map(|line| Line::read(line.trim_start().split_once(' ')?.1));
    let events: BTreeSet<_> =
        events.filter(|event| event.target.starts_with("tower_webflow_auth::")).collect();
    let quoted = quoted();
    assert!(quoted.len() >= 20, "{} lines are quoted", quoted.len());
    for (line, quoted) in quoted {
        assert!(events.contains(&quoted), "not logged: {line}\nlogged: {events:#?}");
    }
}

/// A successful login, one that starts at Webflow, a narrower grant than requested, and a refused
/// scope.
async fn logins() {
    let app = App::start().await;
    app.connected().await;
    let mut browser = TestBrowser::new();
    let stateless = app.url(&format!("{CALLBACK}?code=from-webflow"));
    for expected in [StatusCode::SEE_OTHER, StatusCode::BAD_REQUEST] {
        assert_eq!(browser.step(&stateless).await.unwrap().status, expected);
    }
    let narrow = json!({"access_token": "t", "scope": "sites:read"});
    app.fake.fail_next(Endpoint::Token, Fault::json(200, &narrow));
    let callback = app.callback(&mut TestBrowser::new(), "/sites").await;
    // Another browser has no flow: its callback is refused.
    let page = TestBrowser::new().step(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::SEE_OTHER);
    let app = App::with(|builder| builder.scopes([Scope::new("sites:raed").unwrap()])).await;
    let page = TestBrowser::new().visit(&app.url("/sites")).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
}

/// A callback that reaches no layer, and callbacks of an expired flow and of another user's flow.
async fn callbacks(log: &Log) {
    let page = get(async || "page");
    let router =
        |auth: &WebflowAuthLayer| Router::new().route("/x", page).route_layer(auth.clone());
    let app = App::with_router(|builder| builder, router).await;
    TestBrowser::new().step(&app.url("/x")).await.unwrap();
    eventually("a warning", || log.text().contains("the login cannot be completed")).await;

    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    app.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::BAD_REQUEST);

    let user = |parts: &Parts| parts.headers.get("x-user")?.to_str().ok().map(Subject::user);
    let app = App::with(|builder| builder.subject(user)).await;
    let mut browser = TestBrowser::new();
    let (ada, bob) = (headers(&[("x-user", "ada")]), headers(&[("x-user", "bob")]));
    let mut navigate = ada;
    navigate.insert("sec-fetch-mode", "navigate".parse().unwrap());
    let challenge = browser.send(Method::GET, &app.url("/sites"), &navigate, None).await.unwrap();
    let callback = app.fake.approve(challenge.location().unwrap()).unwrap();
    let page = browser.send(Method::GET, callback.as_str(), &bob, None).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

/// Exchanges that fail.
async fn exchanges() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let state = begin(&app, &mut browser, "/sites").await;
    let forged = app.url(&format!("{CALLBACK}?code=not-issued&state={state}"));
    assert_eq!(browser.step(&forged).await.unwrap().status, StatusCode::BAD_REQUEST);

    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    app.fake.fail_next(Endpoint::Token, Fault::Status(500));
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::BAD_GATEWAY);

    let app = App::with(|builder| builder.client_secret("of another app")).await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::BAD_GATEWAY);
}

/// An unsigned webhook, a grant whose sites are unknown, a failed API call, a revoked token, and a
/// missing layer.
async fn grants_and_calls() {
    let with_more_routes = |auth: &WebflowAuthLayer| {
        let webhook = post(|| async {}).layer(auth.webhooks());
        router(auth).route("/bare", get(|_: WebflowToken| async {})).route("/webhook", webhook)
    };
    let app = App::with_router(|builder| builder, with_more_routes).await;
    let unsigned = TestBrowser::new().fetch(Method::POST, &app.url("/webhook")).await.unwrap();
    assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED);
    app.fake.fail_next(Endpoint::Introspect, Fault::Status(503));
    let mut browser = app.connected().await;
    app.fake.fail_always(Endpoint::Sites, Fault::Status(503));
    let sites = app.url("/sites");
    assert_eq!(browser.step(&sites).await.unwrap().status, StatusCode::BAD_GATEWAY);
    app.fake.heal();
    app.fake.revoke_everything();
    assert_eq!(browser.step(&sites).await.unwrap().status, StatusCode::SEE_OTHER);
    let bare = browser.step(&app.url("/bare")).await.unwrap();
    assert_eq!(bare.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// A row whose key was dropped, and a store that fails.
async fn store() {
    let store = TestStore::default();
    let app = App::with(|builder| builder.store(store.clone())).await;
    let mut connected = app.connected().await;
    let subject = store.rows()[0].key().subject().clone();
    let other =
        second_instance(&app, |builder| builder.store(store.clone()).keyring(Keyring::generate()))
            .await;
    assert!(other.auth.handle().token(&subject).await.unwrap().is_none());

    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    store.on_load(OnLoad::Refuse);
    app.clock.advance(Duration::from_secs(10));
    let page = connected.step(&app.url("/sites")).await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let page = browser.step(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    store.on_load(OnLoad::Answer);
    store.on_save(OnSave::Refuse);
    let page = browser.step(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

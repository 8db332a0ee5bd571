//! Attacks on the state of a flow: S of the threat model.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use support::App;
use tower_webflow_auth::testing::{Page, TestBrowser};

const HOST: &str = "127.0.0.1";

/// A refusal: no code used, no cookie set, nothing stored.
fn assert_refused(app: &App, page: &Page) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
    assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "a code was used");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert!(page.text.contains("login"), "a way to try again: {}", page.text);
}

fn query_of(callback: &str) -> String {
    callback.split_once('?').unwrap().1.to_owned()
}

#[tokio::test]
async fn s2_an_unknown_state_is_refused_also_for_who_is_connected() {
    let app = App::start().await;
    let unknown = app.url("/auth/webflow/callback?code=abc&state=unknown");
    assert_refused(&app, &TestBrowser::new().visit(&unknown).await.unwrap());
    let empty = app.url("/auth/webflow/callback?code=abc&state=");
    assert_refused(&app, &TestBrowser::new().visit(&empty).await.unwrap());
    let mut connected = app.connected().await;
    let page = connected.visit(&unknown).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(connected.visit(&app.url("/")).await.unwrap().text, "connected");
}

#[tokio::test]
async fn s3_a_callback_of_another_browser_is_refused_so_nobody_is_logged_in_as_the_attacker() {
    let app = App::start().await;
    let mut attacker = TestBrowser::new();
    let callback = app.callback(&mut attacker, "/sites").await;
    let mut victim = TestBrowser::new();
    assert_refused(&app, &victim.visit(&callback).await.unwrap());
    app.callback(&mut victim, "/sites").await;
    let page = victim.visit(&callback).await.unwrap();
    assert_refused(&app, &page);
    assert_eq!(victim.visit(&app.url("/")).await.unwrap().text, "not connected");
}

#[tokio::test]
async fn s5_a_flow_that_took_too_long_is_told_so() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    app.clock.advance(Duration::from_secs(15 * 60));
    let page = browser.visit(&callback).await.unwrap();
    assert_refused(&app, &page);
    assert!(page.text.contains("Start again"), "{}", page.text);
}

#[tokio::test]
async fn s6_and_s7_a_flow_cookie_that_is_renamed_or_changed_is_as_if_absent() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let first = app.callback(&mut browser, "/sites").await;
    let (name_a, value_a) = browser.cookies(HOST)[0].clone();
    let second = app.callback(&mut browser, "/sites").await;
    let cookies = browser.cookies(HOST);
    let (name_b, _) = cookies.iter().find(|(name, _)| *name != name_a).unwrap();

    let mut renamed = browser.clone();
    renamed.set_cookie(HOST, name_b, &value_a);
    assert_refused(&app, &renamed.visit(&second).await.unwrap());
    for changed in [
        String::new(),
        value_a[1..].to_owned(),
        format!("{value_a}A"),
        format!("{value_a}="),
        format!("\"{value_a}\""),
        value_a.replace('-', "+").replace('_', "/") + "+",
        "A".repeat(5000),
        "%00%ff".to_owned(),
    ] {
        let mut browser = browser.clone();
        browser.set_cookie(HOST, &name_a, &changed);
        assert_refused(&app, &browser.visit(&first).await.unwrap());
    }
}

#[tokio::test]
async fn s7_a_session_cookie_that_is_changed_is_as_if_absent() {
    let app = App::start().await;
    let browser = app.connected().await;
    let (name, value) = browser.cookies(HOST)[0].clone();
    let mut changed = vec![String::new(), format!("{value}A"), value[1..].to_owned()];
    for i in (0..value.len()).step_by(7) {
        let other = if &value[i..=i] == "A" { "B" } else { "A" };
        changed.push(format!("{}{other}{}", &value[..i], &value[i + 1..]));
    }
    for changed in changed {
        let mut browser = browser.clone();
        browser.set_cookie(HOST, &name, &changed);
        let page = browser.visit(&app.url("/")).await.unwrap();
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "not connected"));
    }
}

#[tokio::test]
async fn s12_a_parameter_that_comes_twice_is_refused() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let query = query_of(&app.callback(&mut browser, "/sites").await);
    for doubled in ["&code=x", "&state=x", "&%63ode=x", "&error=a&error=b", "&st%61te=x"] {
        let url = app.url(&format!("/auth/webflow/callback?{query}{doubled}"));
        assert_refused(&app, &browser.clone().visit(&url).await.unwrap());
    }
}

#[tokio::test]
async fn s13_a_code_of_no_sane_form_is_not_sent_on() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let query = query_of(&app.callback(&mut browser, "/sites").await);
    let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    let long = "x".repeat(4097);
    for code in ["", "&x=1", "%ff%fe", "a%00b", "a%0d%0ab", "%1b", &long] {
        let url = app.url(&format!("/auth/webflow/callback?{state}&code={code}"));
        assert_refused(&app, &browser.clone().visit(&url).await.unwrap());
    }
    let none = app.url(&format!("/auth/webflow/callback?{state}"));
    assert_refused(&app, &browser.visit(&none).await.unwrap());
    assert_refused(&app, &browser.visit(&app.url("/auth/webflow/callback")).await.unwrap());
}

#[tokio::test]
async fn s14_other_methods_and_prefetches_change_nothing() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let page = browser.send(method, &callback, &HeaderMap::new(), None).await.unwrap();
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(page.headers["allow"], "GET, HEAD");
    }
    let head = browser.send(Method::HEAD, &callback, &HeaderMap::new(), None).await.unwrap();
    assert!(head.status.is_success() && head.set_cookies().is_empty());
    for (name, value) in
        [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
    {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let page = browser.send(Method::GET, &callback, &headers, None).await.unwrap();
        assert!(page.status.is_client_error() && page.set_cookies().is_empty());
    }
    assert!(app.fake.requests_to("/oauth/access_token").is_empty());
    assert_eq!(browser.visit(&callback).await.unwrap().path(), "/sites", "it still works");
}

#[tokio::test]
async fn s15_nothing_of_an_error_response_is_shown() {
    let app = App::start().await;
    for (error, status) in [
        ("access_denied", StatusCode::FORBIDDEN),
        ("server_error", StatusCode::BAD_REQUEST),
        ("%3Cscript%3Ealert(1)%3C/script%3E", StatusCode::BAD_REQUEST),
    ] {
        let path = format!(
            "/auth/webflow/callback?error={error}&error_description=%3Cb%3Emarkup%3C/b%3E\
             &error_uri=https://evil.example/"
        );
        let mut browser = TestBrowser::new();
        let page = browser.visit(&app.url(&path)).await.unwrap();
        assert_eq!(page.status, status, "{}", page.text);
        let problem = browser.fetch(Method::GET, &app.url(&path)).await.unwrap();
        assert_eq!(problem.headers["content-type"], "application/problem+json");
        for text in [&page.text, &problem.text] {
            for shown in ["markup", "evil", "alert", "<b>"] {
                assert!(!text.contains(shown), "{shown} in {text}");
            }
        }
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
    }
    let unknown = app.url("/auth/webflow/callback?error=access_denied&state=unknown");
    let page = TestBrowser::new().visit(&unknown).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a state that is not ours");
}

#[tokio::test]
async fn s17_a_session_that_was_planted_is_not_the_one_that_is_used() {
    let app = App::start().await;
    let attacker = app.connected().await;
    let (name, planted) = attacker.cookies(HOST)[0].clone();
    let mut victim = TestBrowser::new();
    victim.set_cookie(HOST, &name, &planted);
    let page = app.connect(&mut victim, "/auth/webflow/login").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_ne!(victim.cookies(HOST)[0].1, planted);
    let mut attacker = attacker;
    let page = attacker.visit(&app.url("/")).await.unwrap();
    assert_eq!(page.text, "not connected", "the planted session has ended");
}

#[tokio::test]
async fn a_callback_after_logout_never_logs_in_again() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    browser.visit(&callback).await.unwrap();
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    let page = browser.visit(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");

    // A flow that is open while its browser logs out ends with it.
    let open = app.callback(&mut browser, "/sites").await;
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(browser.visit(&open).await.unwrap().status, StatusCode::BAD_REQUEST);
}

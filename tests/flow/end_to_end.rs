//! The flow, end to end over real sockets.

use axum::http::{Method, StatusCode};
use std::time::Duration;
use tower_webflow_auth::testing::{Access, Endpoint, Fault, TestBrowser};

use crate::support::App;

#[tokio::test]
async fn protected_route_logs_in_and_shows_the_sites() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let page = app.connect(&mut browser, "/sites?page=2").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.url.as_str(), app.url("/sites?page=2"));
    assert_eq!(page.json()["sites"].as_array().unwrap().len(), 2);
    assert_eq!(browser.cookies("127.0.0.1").len(), 1, "the flow cookie is gone: {browser:?}");

    let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
    assert_eq!(whoami["scopes"], "sites:read cms:read");
    assert!(whoami["subject"].as_str().unwrap().starts_with("session:"));
}

#[tokio::test]
async fn grant_for_single_sites_lists_them() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let authorize = browser.step(&app.url("/whoami")).await.unwrap().location().unwrap();
    let site = app.fake.workspaces()[0].sites()[1].id().to_owned();
    let chosen = Access::Sites(vec![site.clone()]);
    let callback = app.fake.approve_with(&authorize, chosen).unwrap();
    let whoami = browser.visit(callback.as_str()).await.unwrap().json();
    assert_eq!(whoami["sites"], serde_json::json!([site]));
    let [token] = app.auth.handle().tokens_for_site(&site).await.unwrap().try_into().unwrap();
    assert_eq!(token.subject().as_str(), whoami["subject"]);
    assert!(app.auth.handle().tokens_for_site("another").await.unwrap().is_empty());
}

#[tokio::test]
async fn authorize_link_has_five_parameters_in_webflows_encoding() {
    let app = App::start().await;
    let challenge = TestBrowser::new().step(&app.url("/sites")).await.unwrap();
    assert_eq!(challenge.status, StatusCode::SEE_OTHER);
    let location = challenge.location().unwrap();
    let query = location.query().unwrap();
    assert!(query.contains("scope=sites%3Aread%20cms%3Aread"), "{query}");
    let mut names: Vec<_> = location.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort();
    assert_eq!(names, ["client_id", "redirect_uri", "response_type", "scope", "state"]);
    let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert_eq!(state.len(), 43, "256 bits in base64url");
    assert_eq!(challenge.headers["cache-control"], "no-store");
    assert_eq!(challenge.headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn exchange_has_the_sdk_fields_and_the_exact_redirect_uri() {
    let app = App::start().await;
    app.connected().await;
    let [exchange] = app.fake.requests_to("/oauth/access_token").try_into().unwrap();
    let body = exchange.json().unwrap();
    let mut fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["client_id", "client_secret", "code", "grant_type", "redirect_uri"]);
    assert_eq!(body["redirect_uri"], app.url("/auth/webflow/callback"));
    assert_eq!(exchange.headers()["content-type"], "application/json");
}

mod s11 {
    use super::*;

    #[tokio::test]
    async fn two_tabs_complete_their_own_flows() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let first = app.callback(&mut browser, "/sites").await;
        let second = app.callback(&mut browser, "/whoami").await;
        let page = browser.visit(&second).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK));
        let page = browser.visit(&first).await.unwrap();
        assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK));
        assert_eq!(app.fake.issued_tokens(), 2);
    }

    #[tokio::test]
    async fn newest_eight_of_twenty_tabs_complete() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let mut callbacks = Vec::new();
        for _ in 0..20 {
            callbacks.push(app.callback(&mut browser, "/sites").await);
            app.clock.advance(Duration::from_secs(1));
            let cookies = browser.cookies("127.0.0.1");
            assert!(cookies.len() <= 8, "{} cookies", cookies.len());
        }
        for callback in &callbacks[12..] {
            assert_eq!(browser.visit(callback).await.unwrap().path(), "/sites");
        }
        assert_eq!(browser.visit(&callbacks[11]).await.unwrap().status, StatusCode::BAD_REQUEST);
    }
}

mod s8 {
    use super::*;

    #[tokio::test]
    async fn repeated_callback_reuses_the_session_without_an_exchange() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let before = browser.clone();
        browser.step(&callback).await.unwrap();
        let subject = |page: tower_webflow_auth::testing::Page| page.json()["subject"].clone();
        let first = subject(browser.visit(&app.url("/whoami")).await.unwrap());

        // The response was lost, so the browser repeats the callback with its flow cookie.
        let mut lost = before;
        let again = lost.step(&callback).await.unwrap();
        assert_eq!(again.location().unwrap().path(), "/sites");
        assert_eq!(subject(lost.visit(&app.url("/whoami")).await.unwrap()), first);

        // The page is reloaded after the flow cookie was removed.
        let again = browser.step(&callback).await.unwrap();
        assert_eq!((again.status, again.location().unwrap().path()), (StatusCode::SEE_OTHER, "/"));
        assert_eq!(app.fake.requests_to("/oauth/access_token").len(), 1);
    }
}

mod s9 {
    use super::*;

    #[tokio::test]
    async fn double_click_makes_one_exchange_and_logs_both_in() {
        let app = App::start().await;
        app.fake.fail_next(Endpoint::Token, Fault::Delay(Duration::from_millis(50)));
        let mut first = TestBrowser::new();
        let callback = app.callback(&mut first, "/sites").await;
        let mut second = first.clone();
        let (a, b) = tokio::join!(first.visit(&callback), second.visit(&callback));
        assert_eq!((a.unwrap().status, b.unwrap().status), (StatusCode::OK, StatusCode::OK));
        assert_eq!(app.fake.requests_to("/oauth/access_token").len(), 1);
        assert_eq!(first.cookies("127.0.0.1").len(), 1);
    }
}

mod s1 {
    use super::*;

    #[tokio::test]
    async fn code_without_state_starts_one_flow() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.fake.approve(app.fake.install_url()).unwrap();
        assert!(callback.query_pairs().all(|(name, _)| name != "state"));
        let consent = browser.visit(callback.as_str()).await.unwrap();
        assert_eq!(consent.path(), "/oauth/authorize", "the browser is sent to Webflow again");
        assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "the code is not used");

        let again = browser.visit(callback.as_str()).await.unwrap();
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "once only while that flow is open");

        let page = browser.press("Authorize", &consent).await.unwrap();
        assert_eq!((page.path(), page.text.as_str()), ("/", "connected"));
        let later = browser.visit(callback.as_str()).await.unwrap();
        assert_eq!(later.path(), "/oauth/authorize", "after it has ended, another may begin");
    }
}

#[tokio::test]
async fn cancelled_consent_shows_a_page_and_leaves_no_flow() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&app.url("/sites")).await.unwrap();
    let page = browser.press("Cancel", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("access-denied"), "{}", page.text);
    assert!(page.text.contains("/auth/webflow/login?return_to=%2Fsites"), "{}", page.text);
    assert!(browser.cookies("127.0.0.1").is_empty());
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");
}

#[tokio::test]
async fn logout_ends_the_session_and_revoke_ends_the_authorization() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let page = browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!((page.path(), page.text.as_str()), ("/", "not connected"));
    assert_eq!(app.fake.live_tokens(), 1, "Webflow was not asked to revoke");

    let mut browser = app.connected().await;
    let page = browser.submit(&app.url("/auth/webflow/logout?revoke=true")).await.unwrap();
    assert_eq!((page.path(), page.text.as_str()), ("/", "not connected"));
    assert_eq!(app.fake.live_tokens(), 1);
    let fetched = browser.fetch(Method::POST, &app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(fetched.status, StatusCode::NO_CONTENT, "logging out twice is no error");
}

mod o2 {
    use super::*;

    #[tokio::test]
    async fn session_cookie_is_useless_after_logout() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        let mut stolen = browser.clone();
        browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
        assert_eq!(stolen.visit(&app.url("/")).await.unwrap().text, "not connected");
    }
}

#[tokio::test]
async fn rejected_token_leads_to_one_new_consent() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    app.fake.revoke_everything();
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().status, StatusCode::OK);
    let page = app.connect(&mut browser, "/sites").await;
    assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK), "{}", page.text);
    assert_eq!(app.fake.issued_tokens(), 2);
}

mod n8 {
    use super::*;

    #[tokio::test]
    async fn rejected_fresh_token_does_not_cause_a_redirect_loop() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        app.fake.fail_always(Endpoint::Sites, Fault::Status(401));
        app.fake.fail_always(Endpoint::Introspect, Fault::Status(401));
        let page = app.connect(&mut browser, "/sites").await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.text);
    }
}

//! Routes that need more scopes than the grant has.

use axum::http::{Method, StatusCode};
use std::time::Duration;
use tower_webflow_auth::Clock;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::support::App;
use crate::support::hostile::{TestStore, second_instance};

#[tokio::test]
async fn a_route_that_needs_more_asks_for_the_union_and_comes_back_to_the_same_path() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let challenge = browser.step(&app.url("/cms?draft=1")).await.unwrap();
    assert_eq!(challenge.status, StatusCode::SEE_OTHER);
    let location = challenge.location().unwrap();
    let scope = location.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    assert_eq!(scope, "sites:read cms:read cms:write");
    let page = app.connect(&mut browser, "/cms?draft=1").await;
    assert_eq!((page.url.as_str(), page.text.as_str()), (app.url("/cms?draft=1").as_str(), "cms"));
    let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
    assert_eq!(whoami["scopes"], "sites:read cms:read cms:write", "the grant was replaced");
}

#[tokio::test]
async fn refusing_keeps_the_old_grant_and_is_answered_403() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let before = browser.visit(&app.url("/whoami")).await.unwrap().json();
    let consent = browser.visit(&app.url("/cms")).await.unwrap();
    let page = browser.press("Cancel", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
    assert!(page.text.contains("You did not allow more"), "{}", page.text);
    assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().json(), before);
    // The way on asks for the same again, and comes back to the same page.
    let again = page.text.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let again = again.replace("&amp;", "&");
    assert!(again.contains("return_to=%2Fcms&scope=sites%3Aread%20cms%3Aread%20cms%3Awrite"));
    let page = app.connect(&mut browser, &again).await;
    assert_eq!((page.path(), page.text.as_str()), ("/cms", "cms"));
}

#[tokio::test]
async fn scripts_are_told_the_scope_to_ask_for() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let page = browser.fetch(Method::POST, &app.url("/cms")).await.unwrap();
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let login_url =
        "/auth/webflow/login?return_to=%2F&scope=sites%3Aread%20cms%3Aread%20cms%3Awrite";
    assert_eq!(page.json()["login_url"], login_url);
    assert!(page.set_cookies().is_empty());
    let consent = browser.visit(&app.url(login_url)).await.unwrap();
    browser.press("Authorize", &consent).await.unwrap();
    let page = browser.fetch(Method::POST, &app.url("/cms")).await.unwrap();
    assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "cms"));
}

#[tokio::test]
async fn what_webflow_does_not_grant_is_not_asked_for_again_at_once() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let answer = serde_json::json!({"access_token": "t", "scope": "sites:read cms:read"});
    app.fake.fail_next(Endpoint::Token, Fault::json(200, &answer));
    let page = app.connect(&mut browser, "/cms").await;
    assert_eq!((page.path(), page.status), ("/cms", StatusCode::FORBIDDEN), "{}", page.text);
    assert!(page.text.contains("cms:write"), "{}", page.text);
    app.clock.advance(Duration::from_secs(60));
    let later = browser.step(&app.url("/cms")).await.unwrap();
    assert_eq!(later.status, StatusCode::SEE_OTHER, "but later it is");
}

#[tokio::test]
async fn a_grant_from_a_clock_that_was_a_day_ahead_can_be_stepped_up_all_the_same() {
    let store = TestStore::default();
    let ahead = App::with(|builder| builder.store(store.clone())).await;
    let today = Clock::manual(ahead.clock.now() - Duration::from_secs(24 * 60 * 60));
    let app = second_instance(&ahead, |builder| builder.store(store.clone()).clock(today)).await;
    let mut browser = ahead.connected().await;
    let narrow = serde_json::json!({"access_token": "t", "scope": "sites:read cms:read"});
    ahead.fake.fail_next(Endpoint::Token, Fault::json(200, &narrow));
    let page = ahead.connect(&mut browser, "/cms").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "just asked for: {}", page.text);
    let page = browser.step(&app.url("/cms")).await.unwrap();
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
}

#[tokio::test]
async fn a_first_login_at_such_a_route_asks_for_everything_at_once() {
    let app = App::start().await;
    let mut browser = tower_webflow_auth::testing::TestBrowser::new();
    let page = app.connect(&mut browser, "/cms").await;
    assert_eq!((page.path(), page.status), ("/cms", StatusCode::OK));
    assert_eq!(app.fake.issued_tokens(), 1);
}

#[tokio::test]
async fn a_scope_that_webflow_took_away_is_noticed_by_the_next_introspection() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let shrunk = serde_json::json!({"authorization": {"id": "a", "scope": "cms:read"}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &shrunk));
    let forbidden = serde_json::json!({"code": "missing_scopes", "message": "no"});
    app.fake.fail_next(Endpoint::Sites, Fault::json(403, &forbidden));
    let page = browser.fetch(Method::GET, &app.url("/sites")).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for _ in 0..100 {
        let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
        if whoami["scopes"] == "cms:read" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the grant still has its old scopes");
}

#[tokio::test]
async fn n9_sites_that_were_not_known_at_the_callback_are_looked_up_later() {
    let app = App::start().await;
    app.fake.fail_next(Endpoint::Introspect, Fault::Status(500));
    let mut browser = tower_webflow_auth::testing::TestBrowser::new();
    let authorize = browser.step(&app.url("/whoami")).await.unwrap().location().unwrap();
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let access = tower_webflow_auth::testing::Access::Sites(vec![site.clone()]);
    let callback = app.fake.approve_with(&authorize, access).unwrap();
    let page = browser.visit(callback.as_str()).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "the flow completes");
    for _ in 0..100 {
        let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
        if whoami["sites"] == serde_json::json!([site]) {
            let found = app.auth.handle().tokens_for_site(&site).await.unwrap();
            assert_eq!(found.len(), 1, "and it is in the store's index");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the sites are still not known");
}

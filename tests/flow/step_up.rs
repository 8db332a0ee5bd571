//! Routes that need more scopes than the grant has.

use axum::http::{Method, StatusCode};
use std::time::Duration;
use tower_webflow_auth::Clock;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::support::App;
use crate::support::hostile::{TestStore, eventually_by, second_instance};

#[tokio::test]
async fn step_up_requests_the_union_and_returns_to_the_same_path() {
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
async fn declined_step_up_keeps_the_grant_and_is_403() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let before = browser.visit(&app.url("/whoami")).await.unwrap().json();
    let consent = browser.visit(&app.url("/cms")).await.unwrap();
    let page = browser.press("Cancel", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
    assert!(page.text.contains("access-denied"), "{}", page.text);
    assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().json(), before);
    // The page's link requests the same scopes and returns to the same page.
    let again = page.text.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let again = again.replace("&amp;", "&");
    assert!(again.contains("return_to=%2Fcms&scope=sites%3Aread%20cms%3Aread%20cms%3Awrite"));
    let page = app.connect(&mut browser, &again).await;
    assert_eq!((page.path(), page.text.as_str()), ("/cms", "cms"));
}

#[tokio::test]
async fn scripts_get_the_missing_scopes() {
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
async fn declined_scope_is_not_requested_again_immediately() {
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
async fn grant_from_a_fast_clock_can_be_stepped_up() {
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
async fn first_login_requests_the_route_scopes_too() {
    let app = App::start().await;
    let mut browser = tower_webflow_auth::testing::TestBrowser::new();
    let page = app.connect(&mut browser, "/cms").await;
    assert_eq!((page.path(), page.status), ("/cms", StatusCode::OK));
    assert_eq!(app.fake.issued_tokens(), 1);
}

#[tokio::test]
async fn introspection_notices_a_lost_scope() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let shrunk = serde_json::json!({"authorization": {"id": "a", "scope": "cms:read"}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &shrunk));
    let forbidden = serde_json::json!({"code": "missing_scopes", "message": "no"});
    app.fake.fail_next(Endpoint::Sites, Fault::json(403, &forbidden));
    let page = browser.fetch(Method::GET, &app.url("/sites")).await.unwrap();
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    eventually_by("the new scopes", async || {
        browser.visit(&app.url("/whoami")).await.unwrap().json()["scopes"] == "cms:read"
    })
    .await;
}

mod n9 {
    use super::*;

    #[tokio::test]
    async fn unknown_sites_are_looked_up_later() {
        let app = App::start().await;
        app.fake.fail_next(Endpoint::Introspect, Fault::Status(500));
        let mut browser = tower_webflow_auth::testing::TestBrowser::new();
        let authorize = browser.step(&app.url("/whoami")).await.unwrap().location().unwrap();
        let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
        let access = tower_webflow_auth::testing::Access::Sites(vec![site.clone()]);
        let callback = app.fake.approve_with(&authorize, access).unwrap();
        let page = browser.visit(callback.as_str()).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "the flow completes");
        eventually_by("the sites", async || {
            let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
            whoami["sites"] == serde_json::json!([site])
        })
        .await;
        let found = app.auth.handle().tokens_for_site(&site).await.unwrap();
        assert_eq!(found.len(), 1, "and it is in the store's index");
    }
}

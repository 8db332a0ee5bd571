//! The life of an install: from the Install URL to the uninstall, and what comes between.

use axum::http::{Method, StatusCode};
use serde_json::json;
use tower_webflow_auth::testing::{FakeEvent, TestBrowser};
use tower_webflow_auth::webhooks::Trigger;

use crate::stage::{PASSWORD, Stage, fill};

#[tokio::test]
async fn stranger_from_the_marketplace_signs_up_after_the_consent() {
    let stage = Stage::start().await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&stage.url("/install")).await.unwrap();
    assert_eq!(consent.path(), "/oauth/authorize", "{}", consent.text);
    let login = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(login.path(), "/login", "{}", login.text);
    assert_eq!(stage.fake.issued_tokens(), 0, "nobody is signed in");
    let signup = browser.follow("Create one", &login).await.unwrap();
    let page = fill(&mut browser, signup.url.as_str(), "ada@example.com", PASSWORD).await;
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
    assert!(page.text.contains("Shop") && page.text.contains("Blog"), "{}", page.text);
    assert_eq!(stage.fake.issued_tokens(), 1);
}

#[tokio::test]
async fn new_sign_in_asks_for_no_second_consent() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let asked = stage.fake.requests_to("/oauth/authorize").len();
    let page = browser.submit(&stage.url("/signout")).await.unwrap();
    assert!(page.text.contains("Create an account"), "{}", page.text);
    let again = browser.visit(&stage.url("/dashboard")).await.unwrap();
    assert_eq!(again.path(), "/login");
    let page = fill(&mut browser, again.url.as_str(), "ada@example.com", PASSWORD).await;
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
    assert_eq!(stage.fake.requests_to("/oauth/authorize").len(), asked);
}

#[tokio::test]
async fn delivered_webhook_is_on_the_dashboard_of_its_users_only() {
    let stage = Stage::start().await;
    let mut ada = stage.connected("ada@example.com").await;
    let mut bob = stage.signed_up("bob@example.com").await;
    let workspace = stage.fake.workspaces()[1].name().to_owned();
    let consent = bob.visit(&stage.url("/dashboard")).await.unwrap();
    assert!(consent.text.contains(&workspace));
    stage.webhooks_are_registered().await;
    let site = stage.fake.workspaces()[0].sites()[0].id();
    let event = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": site }));
    let delivered = stage.fake.deliver(&event).await;
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].status, Some(StatusCode::OK));
    let page = ada.visit(&stage.url("/dashboard")).await.unwrap();
    assert!(page.text.contains("was published"), "{}", page.text);

    let forged = stage.fake.sign(&event).signed_by("another secret");
    let answer = forged.send(&stage.url("/hooks/webflow")).await;
    assert_eq!(answer, Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn publishing_is_refused_for_a_site_of_somebody_else() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let [acme, globex] = stage.fake.workspaces() else { panic!("two workspaces") };
    let publish = |id: &str| stage.url(&format!("/sites/{id}/publish"));
    let page = browser.submit(&publish(globex.sites()[0].id())).await.unwrap();
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let page = browser.submit(&publish(acme.sites()[0].id())).await.unwrap();
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
    // Webflow publishes once a minute.
    let page = browser.submit(&publish(acme.sites()[0].id())).await.unwrap();
    assert!(page.text.contains("Webflow did not do that"), "{} {}", page.status, page.text);
}

#[tokio::test]
async fn second_workspace_is_a_second_grant_with_a_switch() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let page = browser.visit(&stage.url("/dashboard")).await.unwrap();
    assert!(!page.text.contains("switcher"), "one workspace needs no switch");
    let challenge = browser.step(&stage.url("/install?return_to=/dashboard")).await.unwrap();
    let link = challenge.location().unwrap();
    let workspace = stage.fake.workspaces()[1].id().to_owned();
    let access = tower_webflow_auth::testing::Access::Workspace(workspace);
    let callback = stage.fake.approve_with(&link, access).unwrap();
    let page = browser.visit(callback.as_str()).await.unwrap();
    assert!(page.text.contains("<h2>Home</h2>"), "the new one is shown: {}", page.text);
    let page = browser.press("Blog, Shop", &page).await.unwrap();
    assert!(page.text.contains("<h2>Shop</h2>"), "{}", page.text);
    assert!(!page.text.contains("<h2>Home</h2>"), "{}", page.text);
}

#[tokio::test]
async fn uninstall_is_noticed_by_a_visit() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    stage.fake.revoke_everything();
    let page = browser.visit(&stage.url("/dashboard")).await.unwrap();
    assert_eq!(page.path(), "/oauth/authorize");
    stage.shows(&mut browser, "/", "Webflow is not connected").await;
}

#[tokio::test]
async fn uninstall_is_noticed_by_the_background_check() {
    let mut stage = Stage::with(&[("VERIFY_EVERY", "1")]).await;
    let mut browser = stage.connected("ada@example.com").await;
    stage.fake.revoke_everything();
    stage.shows(&mut browser, "/", "Webflow is not connected").await;
    let printed = stage.app.stop();
    assert!(printed.contains("a grant ended why=Dead sites=2"), "{printed}");
}

#[tokio::test]
async fn disconnecting_revokes_the_grant_at_webflow() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let page = browser.visit(&stage.url("/")).await.unwrap();
    let page = browser.press("Disconnect Webflow", &page).await.unwrap();
    assert!(page.text.contains("Webflow is not connected"), "{}", page.text);
    assert_eq!(stage.fake.live_tokens(), 0);
}

#[tokio::test]
async fn panel_api_takes_a_bearer_and_no_cookie() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let by_cookie = browser.fetch(Method::GET, &stage.url("/api/site")).await.unwrap();
    assert_eq!(by_cookie.status, StatusCode::UNAUTHORIZED);
    let site = stage.fake.workspaces()[0].sites()[0].id();
    let claim = json!({ "idToken": stage.fake.id_token(site), "siteId": site });
    let client = reqwest::Client::new();
    let session = client.post(stage.url("/auth/webflow/panel")).json(&claim).send().await.unwrap();
    let session: serde_json::Value = session.json().await.unwrap();
    let bearer = session["token"].as_str().unwrap();
    let answer = client.get(stage.url("/api/site")).bearer_auth(bearer).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({ "name": "Shop", "email": "ada@example.com" }));
}

//! The demo's routes about sites and the Webflow user.

use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, TestBrowser};

use crate::support::demo::Demo;

async fn connected() -> (FakeWebflow, Demo, TestBrowser) {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    (fake, demo, browser)
}

#[tokio::test]
async fn whoami_and_sites_answer_what_is_known() {
    let (fake, demo, mut browser) = connected().await;
    let [shop, blog] = fake.workspaces()[0].sites() else { panic!("two sites") };
    let whoami = browser.fetch(Method::GET, &demo.url("/whoami")).await.unwrap().json();
    assert_eq!(whoami["webflowUser"]["email"], "ada@example.com");
    assert!(whoami["webflowUser"]["id"].is_string(), "{whoami}");
    assert_eq!(whoami["sites"], json!([shop.id(), blog.id()]));

    let site = demo.url(&format!("/sites/{}", shop.id()));
    let answer = browser.fetch(Method::GET, &site).await.unwrap();
    assert_eq!(answer.json()["displayName"], "Shop");
    let foreign = demo.url(&format!("/sites/{}", fake.workspaces()[1].sites()[0].id()));
    let refused = browser.fetch(Method::GET, &foreign).await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    let odd = browser.fetch(Method::GET, &demo.url("/sites/..%2Ftoken")).await.unwrap();
    assert_eq!(odd.status, StatusCode::NOT_FOUND, "{}", odd.text);
    assert!(fake.requests_to("/v2/sites/..%2Ftoken").len() == 1, "one encoded part");

    let publish = demo.url(&format!("/sites/{}/publish", shop.id()));
    browser.fetch(Method::POST, &publish).await.unwrap();
    let path = format!("/v2/sites/{}/publish", shop.id());
    assert_eq!(fake.requests_to(&path).len(), 1);

    let kept = browser.fetch(Method::GET, &demo.url("/kept")).await.unwrap();
    assert_eq!(kept.headers["cache-control"], "public, max-age=60");
    let nobody = TestBrowser::new().fetch(Method::GET, &demo.url("/kept")).await.unwrap();
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn grants_of_a_site_are_counted_without_a_sign_in() {
    let (fake, demo, _) = connected().await;
    let workspace = &fake.workspaces()[0];
    let mut anybody = TestBrowser::new();
    let mut ask = async |query: String| {
        let url = demo.url(&format!("/grants{query}"));
        let answer = anybody.send(Method::GET, &url, &HeaderMap::new(), None).await.unwrap();
        (answer.status.as_u16(), answer.json()["tokens"].as_u64())
    };
    let site = workspace.sites()[0].id();
    for none in ["", "?site=", "?workspace=w"] {
        assert_eq!(ask(none.to_owned()).await, (400, None), "{none}");
    }
    assert_eq!(ask(format!("?site={site}")).await, (200, Some(1)));
    assert_eq!(ask(format!("?site={site}&workspace=")).await, (200, Some(1)));
    assert_eq!(ask("?site=new".to_owned()).await, (200, Some(0)));
    fake.fail_always(Endpoint::Sites, Fault::Status(500));
    assert_eq!(ask(format!("?site=new&workspace={}", workspace.id())).await, (502, None));
    assert_eq!(ask(format!("?site={site}&workspace={}", workspace.id())).await, (200, Some(1)));
}

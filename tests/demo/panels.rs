//! The demo's panels: `DEMO_PANEL_ORIGIN`.

use axum::http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};

use crate::support::demo::Demo;

const ORIGIN: &str = "https://b.example";

async fn demo(origins: &str) -> (FakeWebflow, Demo) {
    let scopes = ("WEBFLOW_SCOPES", "authorized_user:read sites:read");
    Demo::with_fake(|builder| builder, &[scopes, ("DEMO_PANEL_ORIGIN", origins)]).await
}

#[tokio::test]
async fn a_panel_signs_in_and_asks_who_it_is() {
    let (fake, demo) = demo(" https://a.example , https://b.example,").await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    browser.press("Authorize", &consent).await.unwrap();
    let without = browser.visit(&demo.url("/panel/whoami")).await.unwrap();
    assert_eq!(without.status, StatusCode::UNAUTHORIZED, "a session cookie is no bearer");
    assert_eq!(without.headers[header::WWW_AUTHENTICATE], "Bearer");

    let site = fake.workspaces()[0].sites()[0].id();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "siteId": site, "idToken": fake.id_token(site) });
    let post = http.post(demo.url("/auth/webflow/panel")).header(header::ORIGIN, ORIGIN);
    let answer = post.json(&body).send().await.unwrap();
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], ORIGIN);
    let answer: serde_json::Value = answer.json().await.unwrap();
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
    headers.insert(header::AUTHORIZATION, bearer.parse().unwrap());
    let whoami = demo.url("/panel/whoami");
    let page = TestBrowser::new().send(Method::GET, &whoami, &headers, None).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let page = page.json();
    assert_eq!((&page["user"], &page["siteId"]), (&answer["user"], &json!(site)));
    assert!(page["sites"].as_array().unwrap().contains(&json!(site)));
    assert_eq!(page["scopes"], json!(["authorized_user:read", "sites:read"]));
}

#[tokio::test]
async fn without_the_setting_the_paths_are_unknown() {
    let (_fake, demo) = demo("").await;
    for path in ["/auth/webflow/panel", "/panel/whoami"] {
        let page = TestBrowser::new().fetch(Method::POST, &demo.url(path)).await.unwrap();
        let other = TestBrowser::new().fetch(Method::POST, &demo.url("/nowhere")).await.unwrap();
        assert_eq!((page.status, page.text), (other.status, other.text), "as any unknown path");
    }
}

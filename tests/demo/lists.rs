//! The demo's list of a site's pages.

use axum::http::{Method, StatusCode};
use tower_webflow_auth::testing::TestBrowser;

use crate::support::demo::Demo;

#[tokio::test]
async fn pages_are_read_two_a_call_and_kept_when_the_list_breaks_off() {
    let scopes = [("WEBFLOW_SCOPES", "sites:read pages:read")];
    let (fake, demo) = Demo::with_fake(|builder| builder, &scopes).await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    browser.press("Authorize", &consent).await.unwrap();

    let site = fake.workspaces()[0].sites()[0].id();
    let url = demo.url(&format!("/sites/{site}/pages"));
    let path = format!("/v2/sites/{site}/pages");
    let all = browser.fetch(Method::GET, &url).await.unwrap();
    assert_eq!(all.status, StatusCode::OK, "{}", all.text);
    assert_eq!(all.json()["pages"].as_array().unwrap().len(), 5);
    let asked = fake.requests_to(&path);
    assert_eq!(asked.len(), 3);
    assert_eq!(
        asked[2].query(),
        [("limit", "2"), ("offset", "4")].map(|(n, v)| (n.into(), v.into()))
    );

    // The rate limit ends after two more calls.
    let used = fake.log().iter().filter(|asked| asked.path().starts_with("/v2/")).count();
    fake.set_rate_limit(u32::try_from(used).unwrap() + 2);
    let broken = browser.fetch(Method::GET, &url).await.unwrap();
    assert_eq!(broken.status, StatusCode::TOO_MANY_REQUESTS, "{}", broken.text);
    assert_eq!(broken.json()["read"].as_array().unwrap().len(), 4);
    let foreign = fake.workspaces()[1].sites()[0].id();
    fake.set_rate_limit(1000);
    let url = demo.url(&format!("/sites/{foreign}/pages"));
    let refused = browser.fetch(Method::GET, &url).await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert_eq!(refused.json()["read"], serde_json::json!([]));
}

//! The demo's webhooks: `DEMO_WEBHOOKS=1`.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_webflow_auth::testing::{FakeEvent, FakeWebflow, TestBrowser};
use tower_webflow_auth::webhooks::Trigger;

use crate::support::demo::Demo;

const PREVIOUS: &str = "the previous client secret";
const OWN: [&str; 2] = ["the first webhook's secret", "the second webhook's secret"];

async fn demo(settings: &[(&str, &str)]) -> (FakeWebflow, Demo) {
    Demo::with_fake(|builder| builder, settings).await
}

#[tokio::test]
async fn events_are_received_noted_and_obeyed() {
    let secrets = format!(" {} , {},", OWN[0], OWN[1]);
    let (fake, demo) = demo(&[
        ("DEMO_WEBHOOKS", "1"),
        ("DEMO_PREVIOUS_SECRET", PREVIOUS),
        ("DEMO_WEBHOOK_SECRETS", &secrets),
    ])
    .await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    browser.press("Authorize", &consent).await.unwrap();
    let workspace = &fake.workspaces()[0];
    let (site, workspace) = (workspace.sites()[0].id(), workspace.id());
    let url = demo.url("/hooks/webflow");
    for (payload, status) in [
        (json!({ "siteId": site, "workspaceId": workspace }), 200),
        (json!({ "siteId": "unknown", "demo": "fail" }), 500),
        (json!({ "demo": "panic" }), 500),
    ] {
        let event = FakeEvent::new(Trigger::CollectionItemChanged, payload);
        assert_eq!(fake.sign(&event).send(&url).await.unwrap().as_u16(), status);
    }
    let event = FakeEvent::new(Trigger::SitePublish, json!({}));
    for secret in [PREVIOUS, OWN[0], OWN[1]] {
        assert_eq!(fake.sign(&event).signed_by(secret).send(&url).await.unwrap(), 200);
    }
    let forged = fake.sign(&event).signed_by("nobody's secret, long enough");
    assert_eq!(forged.send(&url).await.unwrap(), StatusCode::UNAUTHORIZED);

    let mut stranger = TestBrowser::new();
    let log = stranger.fetch(Method::GET, &demo.url("/hooks/log")).await.unwrap().json();
    let changed = |site: Value, workspace: Value, tokens: usize| {
        let trigger = "collection_item_changed";
        json!({ "trigger": trigger, "siteId": site, "workspaceId": workspace, "tokens": tokens })
    };
    let expected = [
        changed(json!(site), json!(workspace), 1),
        changed(json!("unknown"), Value::Null, 0),
        changed(Value::Null, Value::Null, 0),
    ];
    assert_eq!(log.as_array().unwrap()[..3], expected);
    assert_eq!(log.as_array().unwrap().len(), 6);
    let get = stranger.fetch(Method::GET, &url).await.unwrap();
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn without_the_setting_the_routes_are_unknown_paths() {
    let (fake, demo) = demo(&[("DEMO_WEBHOOKS", "")]).await;
    let event = FakeEvent::new(Trigger::SitePublish, json!({}));
    let status = fake.sign(&event).send(&demo.url("/hooks/webflow")).await.unwrap();
    let other = TestBrowser::new().fetch(Method::POST, &demo.url("/nowhere")).await.unwrap();
    assert_eq!(status, other.status, "as any unknown path");
}

#[tokio::test]
async fn the_job_example_registers_receives_and_works_on_an_event() {
    let job = Demo::start_example("job").await;
    let mut browser = TestBrowser::new();
    let early = browser.visit(&job.url("/publish")).await.unwrap();
    assert!(early.text.contains("connect at / first"), "{}", early.text);
    let consent = browser.visit(&job.url("/")).await.unwrap();
    for (made, kept) in [(2, 0), (0, 2)] {
        let page = if made > 0 {
            browser.press("Authorize", &consent).await.unwrap()
        } else {
            browser.visit(&job.url("/")).await.unwrap()
        };
        let registered = json!({ "site": "Shop", "made": made, "kept": kept });
        assert_eq!(page.json()["registered"][0], registered);
    }
    let published = browser.visit(&job.url("/publish")).await.unwrap();
    assert_eq!(published.text, "delivered, answered Some(200)");
}

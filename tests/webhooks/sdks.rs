//! Webflow's JavaScript SDK signs and verifies, and must agree with the layer both ways.
//!
//! Ignored by default. Once, in `tests/official_sdks`: `npm ci --ignore-scripts`. Then
//! `cargo test --test webhooks sdks -- --ignored`.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::process::Command;
use tower::ServiceExt;
use tower_webflow_auth::Clock;
use tower_webflow_auth::testing::{Delivery, FakeEvent, FakeWebflow};
use tower_webflow_auth::webhooks::{Trigger, WebflowEvent};

const SENT_AT: u64 = 1_800_000_000_123;

async fn stage() -> (FakeWebflow, Router) {
    let clock = Clock::manual(UNIX_EPOCH + Duration::from_millis(SENT_AT));
    let fake = FakeWebflow::builder().clock(clock.clone()).start().await.unwrap();
    let auth = fake.layer("http://127.0.0.1:9/callback").clock(clock).build().unwrap();
    let app = Router::new()
        .route("/", post(|event: WebflowEvent| async move { event.trigger().to_string() }))
        .layer(auth.webhooks());
    (fake, app)
}

/// Runs one step of the SDK's script with its input in the environment.
async fn sdk(step: &str, secret: &str, timestamp: &str, signature: &str, body: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official_sdks");
    let output = Command::new("node")
        .args(["webhooks.mjs", step])
        .current_dir(folder)
        .env("WEBHOOK_SECRET", secret)
        .env("WEBHOOK_TIMESTAMP", timestamp)
        .env("WEBHOOK_SIGNATURE", signature)
        .env("WEBHOOK_BODY", body)
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap_or_else(|error| panic!("node cannot be run, see this file's head: {error}"));
    assert!(output.status.success(), "webhooks.mjs {step} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn check(fake: &FakeWebflow, delivery: &Delivery) -> Value {
    let body = std::str::from_utf8(delivery.body()).unwrap();
    sdk("check", fake.client_secret(), delivery.timestamp(), delivery.signature(), body).await
}

#[tokio::test]
#[ignore = "needs node and `npm ci` in tests/official_sdks; run by scripts/test"]
async fn the_javascript_sdk_accepts_what_the_fake_signs_and_nothing_else() {
    let (fake, _) = stage().await;
    for name in ["Contact", "Ünïcode 🎉 – \"quoted\"\n"] {
        let event = FakeEvent::new(Trigger::FormSubmission, json!({ "name": name }));
        let delivery = fake.sign(&event);
        assert_eq!(check(&fake, &delivery).await, json!(true));
        let forged = delivery.clone().signed_by("another secret, long enough");
        assert_eq!(check(&fake, &forged).await, json!(false));
        let changed = delivery.with_body("{}");
        assert_eq!(check(&fake, &changed).await, json!(false));
    }
}

#[tokio::test]
#[ignore = "needs node and `npm ci` in tests/official_sdks; run by scripts/test"]
async fn the_layer_accepts_what_the_javascript_sdk_signs() {
    let (fake, app) = stage().await;
    let body = r#"{"triggerType":"form_submission","payload":{"name":"Ünïcode 🎉"}}"#;
    let timestamp = SENT_AT.to_string();
    for (secret, status) in [
        (fake.client_secret(), StatusCode::OK),
        ("another secret, long enough", StatusCode::UNAUTHORIZED),
    ] {
        let signature = sdk("sign", secret, &timestamp, "", body).await;
        let request = Request::post("/")
            .header(HeaderName::from_static("x-webflow-timestamp"), &timestamp)
            .header(HeaderName::from_static("x-webflow-signature"), signature.as_str().unwrap())
            .body(Body::from(body))
            .unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status);
    }
}

//! The demo's name and jobs: `DEMO_NAME`, `WEBFLOW_APP_ID`, `DEMO_ADMIN=1`.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower_webflow_auth::Scope;
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};

use crate::support::demo::{Demo, redirect_uri};
use crate::support::port::free_address;

async fn post(url: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = reqwest::Client::new().post(url).form(form).send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

async fn start(fake: &FakeWebflow, address: &str, more: &[(&str, &str)]) -> Demo {
    let key = ("WEBFLOW_AUTH_KEY", crate::support::KEY);
    Demo::against(fake, address, &[&[key], more].concat()).await
}

async fn webflow() -> (FakeWebflow, String) {
    let address = free_address().to_string();
    let fake = FakeWebflow::builder().redirect_uri(redirect_uri(&address)).start().await.unwrap();
    (fake, address)
}

#[tokio::test]
async fn jobs_import_verify_and_reseal() {
    let (fake, address) = webflow().await;
    let id = fake.application_id();
    let demo = start(&fake, &address, &[("DEMO_ADMIN", "1"), ("WEBFLOW_APP_ID", id)]).await;
    let token = fake.issue_token([Scope::SITES_READ]);
    let done = json!({ "done": 1, "failed": 0 });
    for _ in 0..2 {
        let import = post(&demo.url("/import"), &[("subject", "ada"), ("token", &token)]).await;
        assert_eq!(import, (StatusCode::OK, done.clone()));
    }
    let refused = post(&demo.url("/import"), &[("subject", "ada"), ("token", "no token")]).await;
    assert_eq!(refused, (StatusCode::OK, json!({ "done": 0, "failed": 1, "why": "dead" })));
    assert_eq!(post(&demo.url("/verify"), &[]).await, (StatusCode::OK, done.clone()));
    let none = json!({ "done": 0, "failed": 0 });
    assert_eq!(post(&demo.url("/reseal"), &[]).await, (StatusCode::OK, none.clone()));
    fake.revoke_everything();
    assert_eq!(post(&demo.url("/verify"), &[]).await, (StatusCode::OK, done));
    assert_eq!(post(&demo.url("/verify"), &[]).await, (StatusCode::OK, none));
}

#[tokio::test]
async fn name_is_part_of_the_cookies_and_jobs_are_off_by_default() {
    let (fake, address) = webflow().await;
    let demo = start(&fake, &address, &[("DEMO_NAME", "staging"), ("WEBFLOW_APP_ID", "")]).await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    let done = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let names: Vec<_> = browser.cookies("127.0.0.1").into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"webflow.staging.session".to_owned()), "{names:?}");
    assert_ne!(post(&demo.url("/verify"), &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn jobs_need_a_loopback_address() {
    let output = std::process::Command::new(crate::support::demo::binary())
        .env_clear()
        .envs([("DEMO_ADMIN", "1"), ("DEMO_ADDR", "0.0.0.0:0"), ("DEMO_STORE", "memory")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("DEMO_ADMIN=1 needs a loopback address"), "{printed}");
}

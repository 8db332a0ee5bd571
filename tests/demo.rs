//! The demo as a process: its settings, its messages, its end, and what it leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg(all(feature = "testing", feature = "sqlite", unix))]

#[path = "support/demo.rs"]
mod process;

use std::path::Path;
use std::process::Command;

use axum::http::{HeaderMap, Method, StatusCode};
use process::{Demo, binary};
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};

fn fails_with(settings: &[(&str, &str)]) -> String {
    let output = Command::new(binary())
        .current_dir(std::env::temp_dir())
        .env_clear()
        .env("DEMO_ADDR", "127.0.0.1:0")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn connect(browser: &mut TestBrowser, demo: &Demo) -> String {
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    assert_eq!(consent.path(), "/oauth/authorize", "{}", consent.text);
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK), "{}", page.text);
    page.text
}

#[tokio::test]
async fn without_configuration_it_runs_beside_a_stand_in_and_stops_when_asked() {
    let mut demo = Demo::start(&[("DEMO_STORE", "memory"), ("RUST_LOG", "info")]).await;
    let sites = connect(&mut TestBrowser::new(), &demo).await;
    assert!(sites.contains("Shop"), "{sites}");
    let printed = demo.stop();
    assert!(printed.contains(&format!("demo: visit {}", demo.url("/"))), "{printed}");
    assert!(printed.contains("demo: stopped"), "{printed}");
    for step in ["flow started", "code exchanged", "grant stored"] {
        assert!(printed.contains(step), "{step} in {printed}");
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_a_rolled_key_and_nothing_secret_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("demo.db").display());
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = address.to_string();
    let redirect_uri = format!("http://{address}/auth/webflow/callback");
    let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
    let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
    let rolled_keys = format!("{new},{old}");
    let settings = |keys| {
        [
            ("WEBFLOW_CLIENT_ID", fake.client_id()),
            ("WEBFLOW_CLIENT_SECRET", fake.client_secret()),
            ("WEBFLOW_REDIRECT_URI", &redirect_uri),
            ("WEBFLOW_SCOPES", "sites:read cms:read"),
            ("WEBFLOW_BASE_URL", fake.base_url()),
            ("WEBFLOW_AUTH_KEY", keys),
            ("DEMO_STORE", &store),
        ]
    };
    let mut demo = Demo::start_at(&address, &settings(&old)).await;
    let mut browser = TestBrowser::new();
    connect(&mut browser, &demo).await;
    let printed = demo.stop();

    let mut demo = Demo::start_at(&address, &settings(&rolled_keys)).await;
    let whoami = browser.fetch(Method::GET, &demo.url("/whoami")).await.unwrap();
    assert_eq!(whoami.status, StatusCode::OK, "{}", whoami.text);
    assert_eq!(whoami.json()["scopes"], serde_json::json!(["sites:read", "cms:read"]));
    let refused = browser.fetch(Method::GET, &demo.url("/cms")).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "it needs cms:write");
    assert!(refused.json()["login_url"].as_str().unwrap().contains("cms%3Awrite"));
    let printed = printed + &demo.stop();

    let exchange = fake.requests_to("/oauth/access_token")[0].json().unwrap();
    let code = exchange["code"].as_str().unwrap();
    let token = fake.latest_token().unwrap();
    let files = read_all(folder.path());
    let client_secret = fake.client_secret();
    for (name, secret) in [
        ("client secret", client_secret),
        ("token", token.as_str()),
        ("code", code),
        ("old key", old.as_str()),
        ("new key", new.as_str()),
    ] {
        assert!(!printed.contains(secret), "the {name} is in the log");
        assert!(!contains(&files, secret.as_bytes()), "the {name} is in the database");
    }
}

fn read_all(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn mistakes_in_the_settings_are_all_named_with_their_remedy() {
    let message = fails_with(&[("WEBFLOW_CLIENT_ID", "id"), ("WEBFLOW_SCOPES", "sites read")]);
    for expected in ["client_secret", "redirect_uri", "\"read\" is not a scope", "openssl rand"] {
        assert!(message.contains(expected), "{expected:?} in {message}");
    }
    let message = fails_with(&[("DEMO_STORE", "mysql://user:hunter2@host/db")]);
    assert!(message.contains("is not known: give memory"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let message = fails_with(&[("DEMO_STORE", "sqlite:/missing/folder/demo.db")]);
    assert!(message.contains("its folder must be there"), "{message}");
    let message = fails_with(&[("DEMO_ADDR", "nowhere")]);
    assert!(message.contains("cannot listen on DEMO_ADDR=nowhere"), "{message}");
}

#[tokio::test]
async fn a_wrong_client_secret_is_a_502_whose_log_names_the_setting() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = address.to_string();
    let redirect_uri = format!("http://{address}/auth/webflow/callback");
    let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
    let mut demo = Demo::start_at(
        &address,
        &[
            ("WEBFLOW_CLIENT_ID", fake.client_id()),
            ("WEBFLOW_CLIENT_SECRET", "wrong"),
            ("WEBFLOW_REDIRECT_URI", &redirect_uri),
            ("WEBFLOW_SCOPES", "sites:read"),
            ("WEBFLOW_BASE_URL", fake.base_url()),
            ("WEBFLOW_AUTH_KEY", &Keyring::generate_base64()),
            ("DEMO_STORE", "memory"),
        ],
    )
    .await;
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.text);
    let asked = browser.send(Method::GET, &demo.url("/health"), &HeaderMap::new(), None).await;
    assert_eq!(asked.unwrap().status, StatusCode::OK);
    let printed = demo.stop();
    assert!(printed.contains("WEBFLOW_CLIENT_SECRET"), "{printed}");
}

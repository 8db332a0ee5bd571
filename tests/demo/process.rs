//! The demo as a process: its settings, messages and shutdown, and what it leaves behind.

use std::path::Path;
use std::process::Command;

use axum::http::{HeaderMap, Method, StatusCode};
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, Site, TestBrowser};

use crate::support::demo::{Demo, binary, redirect_uri};
use crate::support::port::free_address;

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
async fn runs_against_a_fake_without_configuration_and_stops_on_sigterm() {
    let mut demo = Demo::start(&[("DEMO_STORE", "memory"), ("RUST_LOG", "info")]).await;
    let sites = connect(&mut TestBrowser::new(), &demo).await;
    assert!(sites.contains("Shop"), "{sites}");
    let printed = demo.stop();
    assert!(printed.contains(&format!("demo: visit {}", demo.url("/"))), "{printed}");
    assert!(printed.contains("demo: the tokens are in memory"), "{printed}");
    assert!(printed.contains("demo: stopped"), "{printed}");
    for step in ["flow started", "code exchanged", "grant stored"] {
        assert!(printed.contains(step), "{step} in {printed}");
    }
}

#[tokio::test]
async fn session_survives_restart_and_key_rotation_without_leaking_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("demo.db").display());
    let address = free_address().to_string();
    let fake = FakeWebflow::builder().redirect_uri(redirect_uri(&address)).start().await.unwrap();
    let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
    let rolled_keys = format!("{new},{old}");
    let start = async |keys: &str| {
        let settings = [
            ("WEBFLOW_SCOPES", "sites:read cms:read"),
            ("WEBFLOW_AUTH_KEY", keys),
            ("DEMO_STORE", &store),
        ];
        Demo::against(&fake, &address, &settings).await
    };
    let mut demo = start(&old).await;
    let mut browser = TestBrowser::new();
    connect(&mut browser, &demo).await;
    let printed = demo.stop();

    let mut demo = start(&rolled_keys).await;
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

#[tokio::test]
async fn pages_forbid_scripts_and_assets_are_cacheable() {
    let (_fake, demo) = Demo::with_webflow(|builder| builder).await;
    let mut browser = TestBrowser::new();
    let mut pages = vec![browser.visit(&demo.url("/")).await.unwrap()];
    connect(&mut browser, &demo).await;
    for path in ["/", "/sites", "/access", "/disconnect", "/signed-out", "/nowhere"] {
        pages.push(browser.visit(&demo.url(path)).await.unwrap());
    }
    for page in &pages {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.headers["cache-control"], "no-store", "{}", page.path());
        for inline in ["<script", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.text.contains(inline), "{inline} in {}", page.path());
        }
    }
    let text = &pages[0].text;
    let style = text.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    for path in [style, "/icon.svg"] {
        let file = TestBrowser::new().visit(&demo.url(path)).await.unwrap();
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert!(file.headers["cache-control"].to_str().unwrap().contains("immutable"));
    }
}

#[tokio::test]
async fn each_way_to_leave_is_a_form_that_reports_its_result() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    for (button, path, live) in
        [("Sign out", "/signed-out", 1), ("Disconnect from Webflow", "/disconnected", 1)]
    {
        let mut browser = TestBrowser::new();
        connect(&mut browser, &demo).await;
        let early = browser.visit(&demo.url(path)).await.unwrap();
        assert!(early.text.contains("You are still connected"), "{}", early.text);
        let ask = browser.visit(&demo.url("/disconnect")).await.unwrap();
        let page = browser.press(button, &ask).await.unwrap();
        assert_eq!((page.path(), page.status), (path, StatusCode::OK), "{}", page.text);
        assert!(page.text.contains("Not connected"), "{}", page.text);
        assert_eq!(fake.live_tokens(), live, "after {button:?}");
    }
}

#[tokio::test]
async fn site_list_is_html_for_browsers_and_json_for_scripts() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let mut browser = TestBrowser::new();
    let page = connect(&mut browser, &demo).await;
    assert!(page.contains("<h1>Your sites</h1>"), "{page}");
    let json = browser.fetch(Method::GET, &demo.url("/sites")).await.unwrap().json();
    let ids: Vec<_> = json["sites"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    let expected: Vec<_> = fake.workspaces()[0].sites().iter().map(Site::id).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn previews_come_from_webflow_or_a_placeholder() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let mut browser = TestBrowser::new();
    connect(&mut browser, &demo).await;
    let odd = serde_json::json!({ "sites": [
        { "id": "1", "displayName": "Shown", "previewUrl": "https://screenshots.webflow.com/1.png",
          "lastPublished": "2026-03-04T05:06:07Z" },
        { "id": "2", "displayName": "Drawn", "previewUrl": "https://evil.example/2.png" },
        { "id": "3", "displayName": 7 },
        null,
        "site",
        { "displayName": "<script>", "lastPublished": "é".repeat(9) },
    ]});
    fake.fail_next(Endpoint::Sites, Fault::json(200, &odd));
    let page = browser.visit(&demo.url("/sites")).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let pictures: Vec<_> = page.text.split("<img src=\"").skip(1).collect();
    assert_eq!(pictures.len(), 2, "the demo's own and one site's: {}", page.text);
    assert!(pictures[1].starts_with("https://screenshots.webflow.com/1.png"));
    assert!(page.text.contains("2026-03-04</time>"), "{}", page.text);
    assert!(page.text.contains("6 sites") && page.text.contains("Untitled site"));
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script"));
}

fn read_all(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn every_wrong_setting_is_reported_with_a_fix() {
    let message = fails_with(&[("WEBFLOW_CLIENT_ID", "id"), ("WEBFLOW_SCOPES", "sites read")]);
    for expected in ["client_secret", "redirect_uri", "\"read\" is not a scope", "openssl rand"] {
        assert!(message.contains(expected), "{expected:?} in {message}");
    }
    let message = fails_with(&[("DEMO_STORE", "mysql://user:hunter2@host/db")]);
    assert!(message.contains("is not known: give memory"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let message = fails_with(&[("DEMO_STORE", "sqlite:/missing/folder/demo.db")]);
    assert!(message.contains("the parent directory must exist"), "{message}");
    let message = fails_with(&[("DEMO_ADDR", "nowhere")]);
    assert!(message.contains("cannot listen on DEMO_ADDR=nowhere"), "{message}");
}

#[tokio::test]
async fn wrong_client_secret_is_a_502_and_logs_the_setting() {
    let address = free_address().to_string();
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

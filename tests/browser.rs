//! A real browser at the application: Chromium, driven by `WebDriver`.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::zombie_processes
)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use support::App;

/// `ChromeDriver`, and a browser of its own with an empty profile.
struct Browser {
    driver: Child,
    client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: run scripts/test, or install chromium-driver");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let serde_json::Value::Object(capabilities) = capabilities else { unreachable!() };
        for _ in 0..100 {
            let connector = hyper_util::client::legacy::connect::HttpConnector::new();
            let mut builder = ClientBuilder::new(connector);
            builder.capabilities(capabilities.clone());
            if let Ok(client) = builder.connect(&format!("http://127.0.0.1:{port}")).await {
                return Self { driver, client, _profile: profile };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("chromedriver does not answer");
    }

    async fn text(&self) -> String {
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    async fn press(&self, text: &str) {
        let button = format!("//*[self::button or self::a][normalize-space()='{text}']");
        self.client.find(Locator::XPath(&button)).await.unwrap().click().await.unwrap();
    }

    /// Waits for a path: a click returns before the page that it leads to is there.
    async fn arrives_at(&self, path: &str) {
        for _ in 0..100 {
            if self.path().await == path {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("at {} instead of {path}: {}", self.path().await, self.text().await);
    }

    async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    async fn stop(self) {
        self.client.clone().close().await.ok();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn a_real_browser_connects_in_two_tabs_cancels_reloads_and_signs_out() {
    let app = App::start().await;
    let browser = Browser::start().await;
    let client = &browser.client;

    // Two tabs begin before either ends.
    client.goto(&app.url("/whoami?tab=1")).await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.screenshot("consent").await;
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    client.goto(&app.url("/sites")).await.unwrap();
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;
    assert!(browser.text().await.contains("\"sites\""), "{}", browser.text().await);
    client.switch_to_window(first).await.unwrap();
    browser.press("Authorize").await;
    browser.arrives_at("/whoami").await;
    assert!(browser.text().await.contains("sites:read"));
    assert_eq!(app.fake.issued_tokens(), 2);

    // Back to the consent screen and once more: a new code for a flow that has ended.
    client.back().await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    assert_eq!(browser.text().await, "connected");

    // Cancelling says so, and offers a way on that works.
    client.goto(&app.url("/cms")).await.unwrap();
    browser.press("Cancel").await;
    browser.arrives_at("/auth/webflow/callback").await;
    assert!(browser.text().await.contains("You did not connect Webflow"));
    browser.screenshot("cancelled").await;
    client.refresh().await.unwrap();
    assert!(browser.text().await.contains("not started here"), "{}", browser.text().await);
    browser.press("Start again").await;
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;

    // The session is a cookie that scripts do not see.
    let visible = client.execute("return document.cookie", Vec::new()).await.unwrap();
    assert_eq!(visible, "");
    let post = "const form = document.createElement('form'); form.method = 'post'; \
         form.action = '/auth/webflow/logout'; document.body.append(form); form.submit()";
    client.execute(post, Vec::new()).await.unwrap();
    for _ in 0..100 {
        if browser.text().await == "not connected" {
            return browser.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still {}", browser.text().await);
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn r1_a_real_browser_stays_on_the_origin_for_every_hostile_return_to() {
    let app = App::start().await;
    let browser = Browser::start().await;
    let client = &browser.client;
    client.goto(&app.url("/auth/webflow/login")).await.unwrap();
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    for hostile in
        ["//evil.invalid/", "/%5Cevil.invalid/", "/%09/evil.invalid", "https:evil.invalid"]
    {
        client.goto(&app.url(&format!("/auth/webflow/login?return_to={hostile}"))).await.unwrap();
        browser.press("Authorize").await;
        browser.arrives_at("/").await;
        let host = client.current_url().await.unwrap().host_str().map(str::to_owned);
        assert_eq!(host.as_deref(), Some("127.0.0.1"), "{hostile}");
    }
    browser.stop().await;
}

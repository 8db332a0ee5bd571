//! Chromium, driven through `ChromeDriver`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::port::free_address;

/// `ChromeDriver`, and a browser with an empty profile.
pub struct Browser {
    driver: Child,
    pub client: Client,
    _profile: tempfile::TempDir,
}

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub dark: bool,
    pub width: u32,
}

impl Look {
    pub const ALL: [Self; 4] = [
        Self { dark: false, width: 1280 },
        Self { dark: true, width: 1280 },
        Self { dark: false, width: 360 },
        Self { dark: true, width: 360 },
    ];

    pub const fn name(self) -> &'static str {
        if self.dark { "dark" } else { "light" }
    }
}

/// A command that is not in the `WebDriver` standard.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    pub async fn start() -> Self {
        Self::with(&[], &json!({})).await
    }

    /// Starts a browser with additional switches and preferences.
    #[allow(clippy::zombie_processes, reason = "dropping the browser waits for its driver")]
    pub async fn with(switches: &[&str], preferences: &Value) -> Self {
        let port = free_address().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: run scripts/test, or install chromium-driver");
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut arguments = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1000,900",
            &folder,
        ];
        arguments.extend(switches);
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
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

    /// A command of Chromium's own `DevTools` protocol.
    pub async fn cdp(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Extra { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// The console's new entries: errors, and violations of the Content-Security-Policy.
    pub async fn complaints(&self) -> Vec<String> {
        let command = Extra { path: "se/log", body: json!({ "type": "browser" }) };
        let entries = self.client.issue_cmd(command).await.unwrap();
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sets the page's colour scheme and width.
    pub async fn look(&self, look: Look) {
        let scheme = json!([{ "name": "prefers-color-scheme", "value": look.name() }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": scheme })).await;
        let metrics =
            json!({ "width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The visible text. If the page is being replaced, that of the next page.
    pub async fn text(&self) -> String {
        for _ in 0..400 {
            if let Ok(body) = self.client.find(Locator::Css("body")).await
                && let Ok(text) = body.text().await
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no page comes after {}", self.path().await);
    }

    pub async fn heading(&self) -> String {
        let heading = self.there(Locator::Css("h1")).await;
        heading.text().await.unwrap()
    }

    /// Waits for the element, since a click returns before the next page has loaded.
    async fn there(&self, locator: Locator<'_>) -> Element {
        self.client.wait().at_most(Duration::from_secs(20)).for_element(locator).await.unwrap()
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Clicks the button or link with that text, or the label that starts with it.
    pub async fn press(&self, text: &str) {
        let target = format!(
            "//*[self::button or self::a][normalize-space()='{text}'] \
             | //label[starts-with(normalize-space(), '{text}')]"
        );
        self.there(Locator::XPath(&target)).await.click().await.unwrap();
    }

    /// Waits for a path.
    pub async fn arrives_at(&self, path: &str) {
        for _ in 0..400 {
            if self.path().await == path {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("at {} instead of {path}: {}", self.path().await, self.text().await);
    }

    /// Waits until the page contains that text.
    pub async fn says(&self, words: &str) {
        for _ in 0..400 {
            if self.text().await.contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{words:?} is not in {}: {}", self.path().await, self.text().await);
    }

    /// The cookies that the browser keeps, for all sites.
    pub async fn cookies(&self) -> Vec<Value> {
        let answer = self.cdp("Network.getAllCookies", json!({})).await;
        answer["cookies"].as_array().unwrap().clone()
    }

    /// By how many pixels the page is wider than the window.
    pub async fn overflow(&self) -> i64 {
        let script = "const page = document.documentElement; \
             return page.scrollWidth - page.clientWidth";
        self.client.execute(script, Vec::new()).await.unwrap().as_i64().unwrap()
    }

    /// Saves a screenshot of the whole page in `target/screenshots`.
    pub async fn screenshot(&self, name: &str) {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.cdp("Page.captureScreenshot", parameters).await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = screenshots();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    pub async fn stop(self) {
        self.client.clone().close().await.ok();
    }
}

fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots")
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

//! The app, the test's fake Webflow, and its users.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use tempfile::TempDir;
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{FakeWebflow, Page, TestBrowser};
use url::form_urlencoded;

use crate::support::demo::{Demo, example, redirect_uri};
use crate::support::port::free_address;

pub const PASSWORD: &str = "correct horse battery";

pub struct Stage {
    pub fake: FakeWebflow,
    pub app: Demo,
    /// The settings that the app runs with.
    pub settings: Vec<(String, String)>,
    pub folder: TempDir,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The app with these settings besides the usual ones.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let address = free_address();
        let (port, address) = (address.port(), address.to_string());
        let redirect_uri = redirect_uri(&address);
        let fake = FakeWebflow::builder()
            .app_name("Site Notes")
            .redirect_uri(&redirect_uri)
            .start()
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("app.db").display());
        let mut all = vec![
            ("LISTEN", address.clone()),
            ("WEBFLOW_CLIENT_ID", fake.client_id().to_owned()),
            ("WEBFLOW_CLIENT_SECRET", fake.client_secret().to_owned()),
            ("WEBFLOW_REDIRECT_URI", redirect_uri),
            ("WEBFLOW_SCOPES", "authorized_user:read sites:read sites:write".to_owned()),
            ("WEBFLOW_BASE_URL", fake.base_url().to_owned()),
            ("WEBFLOW_AUTH_KEY", Keyring::generate_base64()),
            ("DATABASE_URL", database),
            ("PANEL_ORIGIN", format!("http://localhost:{port}")),
            ("RUST_LOG", "info".to_owned()),
        ];
        all.retain(|(name, _)| settings.iter().all(|(own, _)| own != name));
        let own = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings: Vec<_> =
            all.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
        let pairs: Vec<_> = settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let app = Demo::run(&example("app"), &address, &pairs).await;
        Self { fake, app, settings, folder }
    }

    pub fn url(&self, path: &str) -> String {
        self.app.url(path)
    }

    /// The panel's page, at another site than the app's.
    pub fn panel(&self) -> String {
        self.url("/panel").replace("127.0.0.1", "localhost")
    }

    /// A browser whose user has an account and nothing else.
    pub async fn signed_up(&self, email: &str) -> TestBrowser {
        let mut browser = TestBrowser::new();
        let page = fill(&mut browser, &self.url("/signup"), email, PASSWORD).await;
        assert_eq!((page.path(), page.status), ("/", StatusCode::OK), "{}", page.text);
        browser
    }

    /// A browser whose user has connected the fake's first workspace.
    pub async fn connected(&self, email: &str) -> TestBrowser {
        let mut browser = self.signed_up(email).await;
        let consent = browser.visit(&self.url("/dashboard")).await.unwrap();
        assert_eq!(consent.path(), "/oauth/authorize", "{}", consent.text);
        let page = browser.press("Authorize", &consent).await.unwrap();
        assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
        browser
    }

    /// Waits until the page contains the text.
    pub async fn shows(&self, browser: &mut TestBrowser, path: &str, text: &str) -> Page {
        for _ in 0..200 {
            let page = browser.visit(&self.url(path)).await.unwrap();
            if page.text.contains(text) {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{path} does not show {text:?}");
    }

    /// Waits until the app has registered its webhooks.
    pub async fn webhooks_are_registered(&self) {
        for _ in 0..200 {
            if self.fake.webhooks().len() == 2 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{} webhooks are registered", self.fake.webhooks().len());
    }
}

/// Sends the form to sign in or up, as a page of the app does, and follows redirects.
pub async fn fill(browser: &mut TestBrowser, url: &str, email: &str, password: &str) -> Page {
    let fields = [("email", email), ("password", password)];
    let page = post(browser, url, &fields, "same-origin").await;
    match page.location() {
        Some(next) => browser.visit(next.as_str()).await.unwrap(),
        None => page,
    }
}

/// Sends a form from a page of this site.
pub async fn post(
    browser: &mut TestBrowser,
    url: &str,
    fields: &[(&str, &str)],
    site: &'static str,
) -> Page {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("text/html"));
    headers.insert("sec-fetch-site", HeaderValue::from_static(site));
    headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    headers.insert("sec-fetch-dest", HeaderValue::from_static("document"));
    browser.send(Method::POST, url, &headers, Some(form)).await.unwrap()
}

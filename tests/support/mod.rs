//! An application under test on a real socket, with a fake Webflow.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub mod axe;
#[cfg(unix)]
pub mod demo;
pub mod hostile;
pub mod log;
pub mod port;
pub mod secrets;
pub mod tls;
pub mod webdriver;

use std::net::SocketAddr;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::{FakeWebflow, Page, TestBrowser};
use tower_webflow_auth::{
    Clock, Keyring, Scope, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder,
};

pub const KEY: &str = "dGVzdCBrZXkgb2YgdGhlIGludGVncmF0aW9uIHRlc3RzLCAzMiBieXRlcyBvciBtb3Jl";

/// An application and its environment.
pub struct App {
    pub address: SocketAddr,
    pub fake: FakeWebflow,
    pub auth: WebflowAuthLayer,
    pub clock: Clock,
    server: JoinHandle<()>,
}

impl App {
    /// The usual application: `/sites`, `/whoami`, `/cms` protected, `/` optional.
    pub async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// The usual application with changed settings.
    pub async fn with(change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder) -> Self {
        Self::with_router(change, router).await
    }

    /// A custom application.
    pub async fn with_router(
        change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
        router: impl FnOnce(&WebflowAuthLayer) -> Router,
    ) -> Self {
        log::install();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Clock::manual(std::time::SystemTime::now());
        let redirect_uri = format!("http://{address}/auth/webflow/callback");
        let fake = FakeWebflow::builder()
            .redirect_uri(&redirect_uri)
            .clock(clock.clone())
            .start()
            .await
            .unwrap();
        let builder = WebflowAuthLayer::builder()
            .client_id(fake.client_id())
            .client_secret(fake.client_secret())
            .redirect_uri(redirect_uri)
            .scopes([Scope::SITES_READ, Scope::CMS_READ])
            .keyring(Keyring::from_base64(KEY).unwrap())
            .endpoints(fake.endpoints())
            .clock(clock.clone());
        let auth = change(builder).build().unwrap();
        let app = router(&auth);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, fake, auth, clock, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A browser that has connected Webflow by visiting `/sites`.
    pub async fn connected(&self) -> TestBrowser {
        let mut browser = TestBrowser::new();
        let page = self.connect(&mut browser, "/sites").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        browser
    }

    /// Visits a protected path and presses Authorize at the consent screen.
    pub async fn connect(&self, browser: &mut TestBrowser, path: &str) -> Page {
        let consent = browser.visit(&self.url(path)).await.unwrap();
        assert!(consent.url.path() == "/oauth/authorize", "at {}: {}", consent.url, consent.text);
        browser.press("Authorize", &consent).await.unwrap()
    }

    /// Starts a flow and accepts at Webflow. Returns the callback's URL, not yet visited.
    pub async fn callback(&self, browser: &mut TestBrowser, path: &str) -> String {
        let challenge = browser.step(&self.url(path)).await.unwrap();
        let authorize = challenge.location().expect("a redirect to Webflow");
        self.fake.approve(authorize.as_str()).expect("a good authorize link").to_string()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn router(auth: &WebflowAuthLayer) -> Router {
    Router::new()
        .route("/sites", get(sites).post(sites))
        .route("/whoami", get(whoami))
        .route("/deep/path", get(|| async { "deep" }))
        .layer(auth.clone())
        .route("/", get(home).layer(auth.optional()))
        .route(
            "/cms",
            get(|| async { "cms" })
                .merge(post(|| async { "cms" }))
                .layer(auth.require_scopes([Scope::CMS_WRITE])),
        )
}

async fn sites(token: WebflowToken) -> Result<Response, ApiError> {
    let sites: Value = token.api().get("/v2/sites").send().await?.json().await?;
    Ok(Json(sites).into_response())
}

async fn whoami(token: WebflowToken) -> Json<Value> {
    Json(json!({
        "subject": token.subject().as_str(),
        "scopes": token.scopes().to_string(),
        "sites": token.sites(),
    }))
}

async fn home(token: Option<WebflowToken>) -> &'static str {
    if token.is_some() { "connected" } else { "not connected" }
}

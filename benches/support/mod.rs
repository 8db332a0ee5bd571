//! Shared by the benches: an application called in process, a minimal fake Webflow, statistics.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "each bench uses only a part of this"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{COOKIE, HeaderName, LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tower::{Service, ServiceExt};
use tower_webflow_auth::store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::{
    Endpoints, Keyring, Scope, Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder,
};

pub const CALLBACK: &str = "/auth/webflow/callback";

/// Whether to run a short version. `cargo bench` passes `--bench`; `cargo test --benches` does not.
pub fn is_quick() -> bool {
    let arguments: Vec<_> = std::env::args().collect();
    !arguments.iter().any(|it| it == "--bench") || arguments.iter().any(|it| it == "--test")
}

/// A builder for calls in process: nothing listens at its redirect URI.
pub fn builder(endpoints: Endpoints) -> WebflowAuthBuilder {
    WebflowAuthLayer::builder()
        .client_id("client")
        .client_secret("secret")
        .redirect_uri(format!("http://127.0.0.1:9{CALLBACK}"))
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
        .endpoints(endpoints)
}

/// A handler that takes the token, behind the layer.
pub fn protected(auth: &WebflowAuthLayer) -> Router {
    let handler = |token: WebflowToken| async move {
        drop(std::hint::black_box(token));
        "ok"
    };
    served(Router::new().route("/", get(handler)).layer(auth.clone()))
}

/// The same response without a layer.
pub fn bare() -> Router {
    served(Router::new().route("/", get(|| async { "ok" })))
}

/// A router as in a server: without a state axum rebuilds its routes for each request.
fn served(app: Router) -> Router {
    app.with_state(())
}

/// One GET. The cookie is copied, as if it came from a socket.
pub async fn ask(
    app: &mut Router,
    target: &str,
    cookie: &str,
    extra: &[(HeaderName, &str)],
) -> Response {
    let mut request = Request::builder().uri(target);
    if !cookie.is_empty() {
        request = request.header(COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
    }
    for (name, value) in extra {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    app.as_service().ready().await.unwrap().call(request).await.unwrap()
}

pub async fn ask_ok(app: &mut Router, cookie: &str) {
    let response = ask(app, "/", cookie, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    std::hint::black_box(response);
}

/// A started flow.
pub struct Begun {
    pub authorize: String,
    pub cookie: String,
}

impl Begun {
    /// The callback's path and query, with a code that the minimal fake Webflow accepts.
    pub fn callback(&self) -> String {
        let state = self.authorize.split("state=").nth(1).unwrap();
        format!("{CALLBACK}?code=code&state={}", state.split('&').next().unwrap())
    }
}

/// A navigation without a session, which is redirected to Webflow.
pub async fn begin(app: &mut Router) -> Begun {
    const NAVIGATION: [(HeaderName, &str); 1] =
        [(HeaderName::from_static("sec-fetch-mode"), "navigate")];
    let response = ask(app, "/", "", &NAVIGATION).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let authorize = response.headers()[LOCATION].to_str().unwrap().to_owned();
    Begun { authorize, cookie: cookie_set(&response, "webflow-flow") }
}

/// Sends the callback and returns the session cookie of its 303.
pub async fn finish(app: &mut Router, callback: &str, cookie: &str) -> String {
    let response = ask(app, callback, cookie, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    cookie_set(&response, "webflow-session")
}

fn cookie_set(response: &Response, name: &str) -> String {
    let mut sets = response.headers().get_all(SET_COOKIE).iter().map(|set| set.to_str().unwrap());
    sets.find(|set| set.starts_with(name)).unwrap().split(';').next().unwrap().to_owned()
}

/// A minimal fake Webflow on its own thread. It accepts every code, responds immediately and keeps
/// no state.
pub fn lean_webflow() -> Endpoints {
    static ISSUED: AtomicU64 = AtomicU64::new(0);
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let exchange = post(|| async {
                let token = format!("{:064x}", ISSUED.fetch_add(1, Ordering::Relaxed));
                Json(json!({ "access_token": token, "scope": "sites:read" }))
            });
            let introspect = get(|| async {
                Json(json!({ "authorization": {
                    "id": "55818d58616600637b9a5786",
                    "grantType": "authorization_code",
                    "scope": "sites:read",
                    "authorizedTo": {
                        "siteIds": ["62f3b1f7eafac55d0c64ef91"],
                        "workspaceIds": ["52f3b1f7eafac55d0c64ef91"],
                        "userIds": ["545bbecb7bdd6769632504a7"],
                    },
                }}))
            });
            let app = Router::new()
                .route("/oauth/access_token", exchange)
                .route("/v2/token/introspect", introspect);
            axum::serve(listener, app).await.unwrap();
        });
    });
    Endpoints::at(&format!("http://{}", address.recv().unwrap())).unwrap()
}

/// A store that keeps nothing, so that every token in a bench comes from the cache.
pub struct Forgetful;

impl TokenStore for Forgetful {
    async fn load(&self, _: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        Ok(Vec::new())
    }

    async fn save(&self, _: &SealedToken) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, _: &TokenKey, _: TokenVersion) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A field of `/proc/self/status` in KiB: `VmRSS` is the current size, `VmHWM` the peak.
pub fn memory_kib(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn min(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

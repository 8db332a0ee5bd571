//! The layer's overhead on one authenticated GET, compared with the alternatives.
//!
//! Every row is an axum router that gets the same kind of request in the same process. Rounds are
//! interleaved, and a row's cost is the median of its differences to the bare router within a
//! round. A machine that changes its speed therefore affects all rows alike. Criterion measures its
//! rows one after another, which is why it is not used here.
#![allow(
    missing_docs,
    clippy::cast_precision_loss,
    clippy::drop_non_drop,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::unwrap_used
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_extra::extract::SignedCookieJar;
use axum_extra::extract::cookie::{Cookie, Key};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tower::layer::layer_fn;
use tower::layer::util::Identity;
use tower::{Service, ServiceExt};
use tower_sessions_014::{MemoryStore as Sessions, Session, SessionManagerLayer};
use tower_webflow_auth::store::MemoryStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, WebflowToken, config::CacheConfig};

const ROUNDS: usize = 9;

struct Row {
    name: &'static str,
    app: Router,
    path: &'static str,
    cookie: Option<HeaderValue>,
    /// Whether that value is sent as `Authorization` instead.
    is_bearer: bool,
    /// Whether the request is a browser navigation rather than an API call.
    navigates: bool,
    status: StatusCode,
    costs: Vec<f64>,
    allocations: u64,
}

impl Row {
    fn new(name: &'static str, app: Router, cookie: Option<String>) -> Self {
        let cookie = cookie.map(|cookie| HeaderValue::from_str(&cookie).unwrap());
        Self {
            name,
            // As in a server: without a state axum rebuilds a route's service for each request.
            app: app.with_state(()),
            path: "/",
            cookie,
            is_bearer: false,
            navigates: false,
            status: StatusCode::OK,
            costs: Vec::new(),
            allocations: 0,
        }
    }

    const fn answered(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    const fn by_bearer(mut self) -> Self {
        self.is_bearer = true;
        self
    }

    const fn navigating(mut self) -> Self {
        self.navigates = true;
        self
    }

    const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    fn request(&self) -> Request {
        let mut request = Request::builder().uri(self.path);
        if self.navigates {
            request = request.header("sec-fetch-mode", HeaderValue::from_static("navigate"));
        }
        if let Some(cookie) = &self.cookie {
            // A fresh allocation, as if it came from a socket.
            let name = if self.is_bearer { AUTHORIZATION } else { COOKIE };
            request = request.header(name, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        }
        request.body(Body::empty()).unwrap()
    }

    async fn call(&mut self) {
        let request = self.request();
        let response = self.app.as_service().ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), self.status, "{}", self.name);
        black_box(response);
    }

    async fn round(&mut self, requests: usize) {
        let started = Instant::now();
        for _ in 0..requests {
            self.call().await;
        }
        self.costs.push(started.elapsed().as_nanos() as f64 / requests as f64);
    }
}

#[derive(Clone)]
struct HandWritten {
    mac: Hmac<Sha256>,
    tokens: Arc<HashMap<String, Arc<str>>>,
}

/// A minimal hand-written middleware: a signature and a map.
async fn hand_written(
    State(state): State<HandWritten>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = request
        .headers()
        .get(COOKIE)
        .and_then(|cookie| cookie.to_str().ok())
        .and_then(|cookies| cookies.split("; ").find_map(|it| it.strip_prefix("session=")))
        .and_then(|value| value.split_once('.'))
        .and_then(|(id, tag)| {
            let mut mac = state.mac.clone();
            mac.update(id.as_bytes());
            mac.verify_slice(&decode_hex(tag)?).ok()?;
            state.tokens.get(id).cloned()
        });
    match token {
        Some(token) => {
            request.extensions_mut().insert(token);
            next.run(request).await
        }
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// A minimal hand-written service: one look-up without verification, and one insertion.
#[derive(Clone)]
struct Lean<S> {
    inner: S,
    tokens: Arc<HashMap<String, Arc<str>>>,
}

impl<S: Service<Request>> Service<Request> for Lean<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let cookies = request.headers().get(COOKIE).and_then(|cookie| cookie.to_str().ok());
        let session = cookies.and_then(|all| all.split("; ").find_map(|it| it.strip_prefix("s=")));
        if let Some(token) = session.and_then(|session| self.tokens.get(session)).cloned() {
            request.extensions_mut().insert(token);
        }
        self.inner.call(request)
    }
}

/// The cost of any layer in axum, and of the minimal layer that does something.
fn least() -> Vec<Row> {
    let session = "0123456789abcdef".repeat(6);
    let tokens = (0..10_000).map(|i| (format!("{i:096}"), Arc::from("token")));
    let tokens: Arc<HashMap<_, _>> =
        Arc::new(tokens.chain([(session.clone(), Arc::from("token"))]).collect());
    let lean = layer_fn(move |inner| Lean { inner, tokens: Arc::clone(&tokens) });
    let handler = get(|token: axum::Extension<Arc<str>>| async move {
        drop(black_box(token));
        "ok"
    });
    let cookie = format!("s={session}");
    vec![
        Row::new("a no-op layer", bare().layer(Identity::new()), Some(cookie.clone())),
        Row::new(
            "a look-up without verification",
            Router::new().route("/", handler).layer(lean),
            Some(cookie),
        ),
    ]
}

fn bare() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

fn from_fn() -> Row {
    let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&[7; 32]).unwrap();
    let id = "0123456789abcdef0123456789abcdef0123456789a";
    let tag = mac.clone().chain_update(id).finalize().into_bytes();
    let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = (0..10_000).map(|i| (format!("{i:043}"), Arc::from("token")));
    let tokens = Arc::new(tokens.chain([(id.to_owned(), Arc::from("token"))]).collect());
    let app = Router::new()
        .route(
            "/",
            get(|token: axum::Extension<Arc<str>>| async move {
                drop(black_box(token));
                "ok"
            }),
        )
        .layer(from_fn_with_state(HandWritten { mac, tokens }, hand_written));
    Row::new("from_fn, one HMAC and a map", app, Some(format!("session={id}.{tag}")))
}

async fn signed_jar() -> Row {
    let key = Key::generate();
    let app = Router::new()
        .route(
            "/",
            get(|jar: SignedCookieJar| async move {
                drop(black_box(jar.get("token").unwrap()));
                "ok"
            }),
        )
        .route(
            "/in",
            get(
                |jar: SignedCookieJar| async move { jar.add(Cookie::new("token", "t".repeat(64))) },
            ),
        )
        .with_state(key);
    let cookie = log_in(&app).await;
    Row::new("SignedCookieJar with the token", app, Some(cookie))
}

async fn sessions() -> Row {
    let layer = SessionManagerLayer::new(Sessions::default())
        .with_signed(tower_sessions_014::cookie::Key::generate());
    let app = Router::new()
        .route(
            "/",
            get(|session: Session| async move {
                drop(black_box(session.get::<String>("token").await.unwrap().unwrap()));
                "ok"
            }),
        )
        .route(
            "/in",
            get(|session: Session| async move {
                session.insert("token", "t".repeat(64)).await.unwrap()
            }),
        )
        .layer(layer);
    let cookie = log_in(&app).await;
    Row::new("tower-sessions 0.14, signed", app, Some(cookie))
}

#[derive(Clone, Debug)]
struct User(i64);

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"hash"
    }
}

#[derive(Clone)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(*id)))
    }
}

async fn login() -> Row {
    let sessions = SessionManagerLayer::new(Sessions::default())
        .with_signed(tower_sessions_014::cookie::Key::generate());
    let app = Router::new()
        .route(
            "/",
            get(|auth: AuthSession<Backend>| async move {
                drop(black_box(auth.user.unwrap()));
                "ok"
            }),
        )
        .route(
            "/in",
            get(
                |mut auth: AuthSession<Backend>| async move { auth.login(&User(1)).await.unwrap() },
            ),
        )
        .layer(AuthManagerLayerBuilder::new(Backend, sessions).build());
    let cookie = log_in(&app).await;
    Row::new("axum-login 0.18 with tower-sessions", app, Some(cookie))
}

async fn log_in(app: &Router) -> String {
    let request = Request::builder().uri("/in").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let set = response.headers()[SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

const REDIRECT_URI: &str = "http://127.0.0.1:3000/auth/webflow/callback";

/// A browser's cookies after it has started a flow, and after it has completed the flow.
async fn flow(app: &Router, fake: &FakeWebflow) -> (String, String) {
    let begun = Row::new("", app.clone(), None).navigating();
    let response = app.clone().oneshot(begun.request()).await.unwrap();
    let cookie = |response: &Response| {
        let set = response.headers().get_all(SET_COOKIE).iter().next_back().unwrap();
        set.to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let begun = cookie(&response);
    let callback = fake.approve(response.headers()["location"].to_str().unwrap()).unwrap();
    let request = Request::builder().uri(callback.as_str()).header(COOKIE, &begun);
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    (begun, cookie(&response))
}

/// The bearer that a panel gets for the site that the flow has connected.
async fn bearer(app: &Router, fake: &FakeWebflow) -> String {
    let site = fake.workspaces()[0].sites()[0].id();
    let body = serde_json::json!({ "siteId": site, "idToken": fake.id_token(site) });
    let request = Request::post("/auth/webflow/panel").header(CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    format!("Bearer {}", body["token"].as_str().unwrap())
}

/// This crate's rows, with sessions from real flows.
async fn ours() -> (FakeWebflow, Vec<Row>) {
    let fake = FakeWebflow::builder().redirect_uri(REDIRECT_URI).start().await.unwrap();
    let builder = |cache| {
        WebflowAuthLayer::builder()
            .client_id(fake.client_id())
            .client_secret(fake.client_secret())
            .redirect_uri(REDIRECT_URI)
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::generate())
            .store(MemoryStore::new())
            .cache(cache)
            .endpoints(fake.endpoints())
    };
    let layer = |cache| builder(cache).build().unwrap();
    let protected = |layer| {
        let handler = get(|token: WebflowToken| async move {
            drop(black_box(token));
            "ok"
        });
        Router::new().route("/", handler).layer(layer)
    };
    // Long enough that no round reads the store again.
    let auth = layer(CacheConfig::new().ttl(Duration::from_secs(600)));
    let required = protected(auth.clone());
    let optional = Router::new().route("/", get(|| async { "ok" })).layer(auth.optional());
    let uncached = protected(layer(CacheConfig::off()));
    let (begun, session) = flow(&required, &fake).await;
    let (_, uncached_session) = flow(&uncached, &fake).await;
    let panels = builder(CacheConfig::new().ttl(Duration::from_secs(600)))
        .scopes([Scope::SITES_READ, Scope::AUTHORIZED_USER_READ])
        .panel_origin("https://abc.webflow-ext.com")
        .build()
        .unwrap();
    let panels = protected(panels);
    let (_, panel_session) = flow(&panels, &fake).await;
    let bearer = bearer(&panels, &fake).await;
    let rows = vec![
        Row::new("WebflowAuthLayer", required.clone(), Some(session.clone())),
        Row::new("WebflowAuthLayer, optional", optional.clone(), Some(session)),
        Row::new("WebflowAuthLayer, optional, nobody signed in", optional, None),
        Row::new("WebflowAuthLayer, by a panel's bearer", panels.clone(), Some(bearer)).by_bearer(),
        Row::new("WebflowAuthLayer with panels, by cookie", panels, Some(panel_session)),
        Row::new("WebflowAuthLayer without its cache", uncached, Some(uncached_session)),
        Row::new("challenge: 401", required.clone(), None).answered(StatusCode::UNAUTHORIZED),
        Row::new("challenge: 303, encrypts a flow cookie", required.clone(), None)
            .navigating()
            .answered(StatusCode::SEE_OTHER),
        Row::new("callback refused, decrypts a flow cookie", required, Some(begun))
            .at("/auth/webflow/callback?code=c&state=forged")
            .answered(StatusCode::BAD_REQUEST),
    ];
    (fake, rows)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let quick = std::env::args().any(|argument| argument == "--test");
    let requests = if quick { 10 } else { 10_000 };
    let (_fake, ours) = runtime.block_on(ours());
    let session = ours.first().and_then(|row| row.cookie.clone()).unwrap();
    let session = session.to_str().unwrap().to_owned();
    let mut rows = vec![
        Row::new("bare axum, nobody", bare(), None),
        Row::new("bare axum, same cookie", bare(), Some(session)),
        from_fn(),
        runtime.block_on(signed_jar()),
        runtime.block_on(sessions()),
        runtime.block_on(login()),
    ];
    rows.extend(least());
    rows.extend(ours);
    for row in &mut rows {
        runtime.block_on(row.round(requests / 10));
        row.costs.clear();
    }
    for row in &mut rows {
        let counted = allocation_counter::measure(|| runtime.block_on(row.call()));
        row.allocations = counted.count_total;
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            runtime.block_on(row.round(requests));
        }
    }
    print(&rows);
}

fn print(rows: &[Row]) {
    let over = |row: &Row| {
        // A row without a cookie is compared with a bare router that gets none either.
        let control = &rows[usize::from(row.cookie.is_some())];
        let differences = row.costs.iter().zip(&control.costs).map(|(cost, bare)| cost - bare);
        (median(differences.collect()), row.allocations.saturating_sub(control.allocations))
    };
    let from_fn = over(&rows[2]).0;
    println!("{ROUNDS} interleaved rounds; nanoseconds and allocations over a bare axum router\n");
    println!("| row | over, ns | of from_fn | min, ns | allocations over |");
    println!("| --- | --- | --- | --- | --- |");
    for row in rows {
        let (time, allocations) = over(row);
        let min = row.costs.iter().copied().fold(f64::INFINITY, f64::min);
        println!("| {} | {time:.0} | {:.2} | {min:.0} | {allocations} |", row.name, time / from_fn);
    }
}

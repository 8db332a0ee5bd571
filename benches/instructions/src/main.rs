//! Sends requests through the layer, so that valgrind can count the instructions.
//!
//! `instructions ROW REQUESTS` sends that many requests for that row. `scripts/instructions` runs
//! it under valgrind and counts only what happens within [`counted`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::header::{ACCEPT, COOKIE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request};
use tower::{Layer, Service, service_fn};
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, WebflowToken, config::CacheConfig};

type Inner = tower::util::BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// The token of the `lean` row, with which the other rows are compared.
#[derive(Clone)]
struct Token(#[expect(dead_code, reason = "only carried")] Arc<str>);

/// An extension that any real server inserts before a layer sees the request.
#[derive(Clone)]
struct Peer;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(row), Some(requests)) = (arguments.next(), arguments.next()) else {
        panic!("usage: instructions ROW REQUESTS");
    };
    let requests = requests.parse().expect("REQUESTS must be a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (auth, cookie) = runtime.block_on(connected());
    let inner = || {
        service_fn(async |request: Request<Body>| {
            black_box(request.extensions().get::<WebflowToken>());
            Ok::<_, Infallible>(Response::new(Body::empty()))
        })
    };
    let api = head(Method::GET, &[(COOKIE, &cookie)]);
    let browser = [
        (HeaderName::from_static("host"), "app.example.com"),
        (HeaderName::from_static("sec-fetch-mode"), "navigate"),
        (HeaderName::from_static("sec-fetch-site"), "none"),
        (HeaderName::from_static("sec-fetch-dest"), "document"),
        (HeaderName::from_static("user-agent"), "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
        (HeaderName::from_static("accept-language"), "en-GB,en;q=0.9"),
        (HeaderName::from_static("accept-encoding"), "gzip, deflate, br"),
        (ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (COOKIE, &cookie),
    ];
    let browser = head(Method::GET, &browser);
    let nobody = head(Method::GET, &[]);
    let preflight = head(Method::OPTIONS, &[]);
    let (mut service, head): (Inner, _) = match row.as_str() {
        "control" => (Inner::new(inner()), api),
        "lean" => (Inner::new(lean(inner(), &cookie)), api),
        "required" => (Inner::new(auth.layer(inner())), api),
        "browser" => (Inner::new(auth.layer(inner())), browser),
        "optional" => (Inner::new(auth.optional().layer(inner())), api),
        "nobody" => (Inner::new(auth.optional().layer(inner())), nobody),
        "preflight" => (Inner::new(auth.layer(inner())), preflight),
        "challenge" => (Inner::new(auth.layer(inner())), without_cookie(browser)),
        "axum" => {
            let app = Router::new().route("/", get(async |_: WebflowToken| "ok"));
            (Inner::new(app.layer(auth).with_state::<()>(())), api)
        }
        "bare-axum" => (Inner::new(Router::new().route("/", get(async || "ok"))), api),
        other => panic!("unknown row {other}"),
    };
    // The first request of a session does more work.
    warm_up(&mut service, &head);
    counted(&mut service, &head, requests);
}

#[inline(never)]
fn counted(service: &mut Inner, head: &(Method, HeaderMap), requests: usize) {
    for _ in 0..requests {
        one(service, head);
    }
}

fn warm_up(service: &mut Inner, head: &(Method, HeaderMap)) {
    for _ in 0..10 {
        one(service, head);
    }
}

fn one(service: &mut Inner, (method, headers): &(Method, HeaderMap)) {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    let mut extensions = Extensions::new();
    extensions.insert(Peer);
    *request.extensions_mut() = extensions;
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let Poll::Ready(response) = pin!(service.call(request)).poll(&mut context) else {
        panic!("the response is not ready immediately");
    };
    black_box(response.unwrap());
}

fn head(method: Method, headers: &[(HeaderName, &str)]) -> (Method, HeaderMap) {
    let value = |value: &str| HeaderValue::from_str(value).unwrap();
    (method, headers.iter().map(|(name, it)| (name.clone(), value(it))).collect())
}

fn without_cookie((method, mut headers): (Method, HeaderMap)) -> (Method, HeaderMap) {
    headers.remove(COOKIE);
    (method, headers)
}

/// A minimal service: finds the cookie, looks up its value, inserts the result.
fn lean<S>(
    inner: S,
    cookie: &str,
) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future = S::Future>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let (name, value) = cookie.split_once('=').unwrap();
    let prefix: Arc<str> = format!("{name}=").into();
    let tokens = Arc::new(HashMap::from([(value.to_owned(), Token("token".into()))]));
    tower::util::MapRequest::new(inner, move |mut request: Request<Body>| {
        let cookies = request.headers().get(COOKIE).and_then(|header| header.to_str().ok());
        let value = cookies.and_then(|it| it.split("; ").find_map(|it| it.strip_prefix(&*prefix)));
        if let Some(token) = value.and_then(|value| tokens.get(value)).cloned() {
            request.extensions_mut().insert(token);
        }
        request
    })
}

/// A layer, and the session cookie of a browser that has connected Webflow.
async fn connected() -> (WebflowAuthLayer, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let redirect_uri = format!("{origin}/auth/webflow/callback");
    let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
    let auth = WebflowAuthLayer::builder()
        .client_id(fake.client_id())
        .client_secret(fake.client_secret())
        .redirect_uri(redirect_uri)
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
        .cache(CacheConfig::new().ttl(Duration::from_secs(3600)))
        .endpoints(fake.endpoints())
        .build()
        .unwrap();
    let app = Router::new().route("/", get(async || "ok")).layer(auth.clone());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&format!("{origin}/")).await.unwrap();
    assert_eq!(browser.press("Authorize", &consent).await.unwrap().text, "ok");
    server.abort();
    let cookies = browser.cookies("127.0.0.1");
    let session = cookies.iter().find(|(name, _)| name.contains("session")).unwrap();
    (auth, format!("{}={}", session.0, session.1))
}

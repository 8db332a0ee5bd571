//! The contract of a tower service, towards its callers and towards the inner service.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_test::mock;
use tower_webflow_auth::WebflowToken;

use crate::support::App;

type Req = Request<Full<Bytes>>;
type Res = Response<Full<Bytes>>;

/// An inner service that must be polled ready before each call, as tower requires, and becomes
/// ready only on the second poll.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    polled: bool,
    called: Arc<AtomicBool>,
}

impl Clone for Strict {
    /// A clone is not ready: readiness belongs to the instance that was polled.
    fn clone(&self) -> Self {
        Self { ready: false, polled: false, called: Arc::clone(&self.called) }
    }
}

impl Service<Req> for Strict {
    type Response = Res;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Res, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if std::mem::replace(&mut self.polled, true) {
            self.ready = true;
            Poll::Ready(Ok(()))
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        self.called.store(true, Ordering::SeqCst);
        let token = request.extensions().get::<WebflowToken>().is_some();
        Box::pin(async move { Ok(Res::new(Full::from(if token { "token" } else { "none" }))) })
    }
}

fn request(method: Method, path: &str, cookie: Option<&str>) -> Req {
    let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "text/html");
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    request.body(Full::default()).unwrap()
}

async fn session_cookie(app: &App) -> String {
    let browser = app.connected().await;
    let cookies = browser.cookies("127.0.0.1");
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn ready_service_is_the_one_that_is_called() {
    let app = App::start().await;
    let cookie = session_cookie(&app).await;
    let called = Arc::new(AtomicBool::new(false));
    let strict = Strict { called: Arc::clone(&called), ..Strict::default() };
    let mut service = app.auth.layer(strict);
    for _ in 0..3 {
        let request = request(Method::GET, "/sites", Some(&cookie));
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert!(called.load(Ordering::SeqCst));
}

#[tokio::test]
async fn unready_inner_service_holds_requests_back() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = mock::Spawn::new(app.auth.optional().layer(inner));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
}

#[tokio::test]
async fn readiness_errors_pass_through() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = mock::Spawn::new(app.auth.layer(inner));
    handle.send_error("broken inside");
    match service.poll_ready() {
        Poll::Ready(Err(error)) => assert_eq!(error.to_string(), "broken inside"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn inner_errors_pass_unchanged() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = app.auth.optional().layer(inner);
    handle.allow(1);
    let answer = service.ready().await.unwrap().call(request(Method::GET, "/", None));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error("the handler failed");
    assert_eq!(answer.await.unwrap_err().to_string(), "the handler failed");
}

#[tokio::test]
async fn endpoint_paths_never_reach_the_inner_service() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = app.auth.optional().layer(inner);
    handle.allow(4);
    for (method, path, status) in [
        (Method::GET, "/auth/webflow/login", StatusCode::SEE_OTHER),
        (Method::GET, "/auth/webflow/callback?code=x&state=y", StatusCode::BAD_REQUEST),
        (Method::GET, "/auth/webflow/logout", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = request(method, path, None);
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    drop(service);
    assert!(handle.next_request().await.is_none(), "nothing came through");
}

#[tokio::test]
async fn required_mode_without_a_token_never_calls_the_inner_service() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = app.auth.layer(inner);
    handle.allow(1);
    let response =
        service.ready().await.unwrap().call(request(Method::GET, "/x", None)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let location = response.headers()[LOCATION].to_str().unwrap();
    assert!(location.starts_with(app.fake.base_url()), "{location}");
    drop(service);
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn optional_mode_passes_the_request_unchanged() {
    let app = App::start().await;
    let (inner, mut handle) = mock::pair::<Req, Res>();
    let mut service = app.auth.optional().layer(inner);
    handle.allow(1);
    let request = request(Method::PUT, "/a/b?c=d", Some("a=b"));
    let answer = service.ready().await.unwrap().call(request);
    let (arrived, send) = handle.next_request().await.unwrap();
    assert_eq!((arrived.method(), arrived.uri().to_string().as_str()), (&Method::PUT, "/a/b?c=d"));
    assert_eq!(arrived.headers()[COOKIE], "a=b");
    let mut response = Res::new(Full::from("body"));
    response.headers_mut().append("set-cookie", "mine=1".parse().unwrap());
    send.send_response(response);
    let response = answer.await.unwrap();
    assert_eq!(response.headers()["set-cookie"], "mine=1", "the inner service's cookies stay");
}

#[tokio::test]
async fn composes_with_tower_middleware_around_and_inside() {
    let app = App::start().await;
    let cookie = session_cookie(&app).await;
    let service = ServiceBuilder::new()
        .concurrency_limit(2)
        .load_shed()
        .timeout(std::time::Duration::from_secs(30))
        .layer(app.auth.clone())
        .map_response(|response: Res| response)
        .service_fn(|request: Req| async move {
            assert!(request.extensions().get::<WebflowToken>().is_some());
            Ok::<_, Infallible>(Res::new(Full::from("inner")))
        });
    let response = service.oneshot(request(Method::GET, "/x", Some(&cookie))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

mod o4 {
    use super::*;

    #[tokio::test]
    async fn preflight_reaches_the_inner_service_without_a_token() {
        let app = App::start().await;
        let cookie = session_cookie(&app).await;
        let service = app.auth.layer(tower::service_fn(|request: Req| async move {
            assert!(request.extensions().get::<WebflowToken>().is_none());
            Ok::<_, Infallible>(Res::new(Full::from("preflight")))
        }));
        let response =
            service.oneshot(request(Method::OPTIONS, "/x", Some(&cookie))).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn reserved_capacity_is_released_when_the_inner_service_is_not_called() {
    let app = App::start().await;
    let limited = tower::limit::GlobalConcurrencyLimitLayer::new(1).layer(tower::service_fn(
        |_: Req| async { Ok::<_, Infallible>(Res::new(Full::from("inner"))) },
    ));
    let mut service = app.auth.layer(limited);
    let mut other = service.clone();
    for path in ["/challenged", "/auth/webflow/login", "/auth/webflow/callback?code=a&state=b"] {
        let request = request(Method::GET, path, None);
        service.ready().await.unwrap().call(request).await.unwrap();
        let ready = tokio::time::timeout(std::time::Duration::from_secs(5), other.ready()).await;
        assert!(ready.is_ok(), "the only permit was kept for {path}");
        other = service.clone();
    }
}

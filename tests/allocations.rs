//! Bounds on what the layer allocates for requests that it passes on. A binary of its own, since
//! counting allocations takes a global allocator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use futures::FutureExt;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tower::{Layer, Service, service_fn};
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken};

use crate::support::App;

/// What any real server leaves in the extensions before a layer sees the request.
#[derive(Clone)]
struct Peer;

/// The allocations of one request's way through the layer, without making the request. The
/// request is answered at once, or this fails: nothing that is boxed and waited for.
fn allocations(layer: &WebflowAuthLayer, method: &Method, headers: &HeaderMap, token: bool) -> u64 {
    let mut service = layer.layer(service_fn(move |request: Request<Bytes>| {
        assert_eq!(request.extensions().get::<WebflowToken>().is_some(), token);
        std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::new())))
    }));
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    request.extensions_mut().insert(Peer);
    let counted = allocation_counter::measure(|| {
        let answer = service.call(request).now_or_never().expect("an answer at once");
        assert_eq!(answer.unwrap().status(), 200);
    });
    counted.count_total
}

async fn session(app: &App) -> String {
    let browser = app.connected().await;
    let cookies = browser.cookies("127.0.0.1");
    let (name, value) = cookies.first().unwrap();
    // From here on the session is known, as that of nearly every request is.
    format!("{name}={value}")
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'static str, &'a str)>) -> HeaderMap {
    let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value));
    pairs.into_iter().map(pair).map(|(name, value)| (name, value.unwrap())).collect()
}

#[tokio::test]
async fn authenticated_request_allocates_once_for_the_token() {
    let app = App::start().await;
    let session = session(&app).await;
    let crumbs = format!("{session}; b=2");
    for (name, headers) in [
        ("an API client", headers([("cookie", &*session)])),
        (
            "a browser that navigates",
            headers([
                ("host", "127.0.0.1"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", "none"),
                ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
                ("cookie", &*crumbs),
            ]),
        ),
        (
            "a browser over HTTP/2, which splits its cookies",
            HeaderMap::from_iter([
                (COOKIE, HeaderValue::from_static("a=1")),
                (COOKIE, HeaderValue::from_str(&session).unwrap()),
                (COOKIE, HeaderValue::from_static("b=2")),
            ]),
        ),
    ] {
        for layer in [app.auth.clone(), app.auth.optional()] {
            assert_eq!(allocations(&layer, &Method::GET, &headers, true), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn anonymous_request_in_optional_mode_allocates_at_most_once() {
    let app = App::start().await;
    let other = headers([("cookie", "theme=dark; webflow=1"), ("accept", "text/html")]);
    for headers in [HeaderMap::new(), other] {
        assert!(allocations(&app.auth.optional(), &Method::GET, &headers, false) <= 1);
    }
}

#[tokio::test]
async fn passed_through_request_does_not_allocate() {
    let app = App::start().await;
    let session = headers([("cookie", &*session(&app).await)]);
    for layer in [app.auth.clone(), app.auth.optional()] {
        for headers in [&HeaderMap::new(), &session] {
            assert_eq!(allocations(&layer, &Method::OPTIONS, headers, false), 0);
        }
    }
}

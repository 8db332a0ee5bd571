//! Limits on what the layer allocates for forwarded requests. A separate binary, since
//! counting allocations takes a global allocator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use futures::FutureExt;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use tower_webflow_auth::{Scope, WebflowAuthLayer, WebflowToken};

use crate::support::App;

const PANEL: &str = "https://abc.webflow-ext.com";

/// What any real server puts into the extensions before a layer sees the request.
#[derive(Clone)]
struct Peer;

/// The allocations of one request's way through the layer, without building the request. Fails if
/// the request is not answered immediately, since boxed and awaited work is not measured.
fn allocations(layer: &WebflowAuthLayer, method: &Method, headers: &HeaderMap, token: bool) -> u64 {
    let mut service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        assert_eq!(request.extensions().get::<WebflowToken>().is_some(), token);
        std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::new())))
    }));
    let mut request = Request::new(Full::<Bytes>::default());
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
    // From here on the session is cached, as for nearly every request.
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

#[tokio::test]
async fn request_with_a_bearer_allocates_once_more() {
    let app = App::with(|builder| {
        builder.scopes([Scope::AUTHORIZED_USER_READ, Scope::SITES_READ]).panel_origin(PANEL)
    })
    .await;
    app.connected().await;
    let workspace = &app.fake.workspaces()[0];
    let site = workspace.sites()[0].id();
    let body = serde_json::json!({ "siteId": site, "idToken": app.fake.id_token(site) });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(app.url("/auth/webflow/panel")).json(&body).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
    let opened = http.get(app.url("/whoami")).header("authorization", &bearer).send().await;
    assert_eq!(opened.unwrap().status(), 200);
    let headers = headers([("authorization", &*bearer), ("origin", PANEL), ("accept", "*/*")]);
    for layer in [app.auth.clone(), app.auth.optional()] {
        // The token and the session. An empty response also allocates its header table, to which
        // the layer adds two headers; a real response has room for them.
        assert_eq!(allocations(&layer, &Method::GET, &headers, true), 2 + 2);
    }
}

//! The servers that are compared; each prints its address and serves until it is killed.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;
use tower_webflow_auth::webhooks::WebflowEvent;
use tower_webflow_auth::{Endpoints, Keyring, Scope, WebflowAuthLayer};

use crate::SECRET;

pub(crate) async fn serve(row: &str) {
    let app = match row {
        "layer" => layer(),
        "by-hand" => Router::new().route("/", post(by_hand)).layer(DefaultBodyLimit::max(1 << 20)),
        // What a plain limit on the body costs, which is all that a flood should cost.
        "limit" => {
            let handler = |body: Bytes| async move { format!("{}", body.len()) };
            Router::new().route("/", post(handler)).layer(DefaultBodyLimit::max(1000))
        }
        other => panic!("no row is called {other}"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

fn layer() -> Router {
    let auth = WebflowAuthLayer::builder()
        .client_id("client")
        .client_secret(SECRET)
        .redirect_uri("http://127.0.0.1:9/auth/webflow/callback")
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
        .endpoints(Endpoints::at("http://127.0.0.1:9").unwrap())
        .build()
        .unwrap();
    let handler = |event: WebflowEvent| async move {
        if event.site_id().is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
    };
    Router::new().route("/", post(handler).layer(auth.webhooks()))
}

/// The least that one would write by hand: constant time, the raw body, the clock; no memory of
/// deliveries, and the body is read before anything is checked.
async fn by_hand(headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let (Some(signature), Some(timestamp)) =
        (text("x-webflow-signature"), text("x-webflow-timestamp"))
    else {
        return StatusCode::UNAUTHORIZED;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let is_fresh = timestamp.parse::<u64>().is_ok_and(|sent| sent.abs_diff(now) <= 300_000);
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(timestamp).chain_update(":").chain_update(&body);
    let is_signed = hex::decode(signature).is_ok_and(|it| mac.verify_slice(&it).is_ok());
    if is_fresh && is_signed { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

//! Tokens in Redis, shared by many instances of an application.
//!
//! `REDIS_URL=redis://127.0.0.1/ cargo run --example redis --features redis,testing`

mod support;

use axum::{Router, routing::get};
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::store::RedisStore;

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let store = RedisStore::connect(&url).await?;
    let stage = support::Stage::new().await?;
    // Instances share the store and, unlike here, the key ring: or none opens what another sealed.
    let auth = stage.auth().store(store).build()?;
    let page = |token: WebflowToken| async move { format!("connected: {token:?}") };
    stage.serve(Router::new().route("/", get(page)).layer(auth)).await
}

//! Tokens in Redis, shared by many instances of an application.
//!
//! With a throwaway server:
//!
//! ```sh
//! scripts/with-servers --only redis cargo run --example redis --features redis,testing
//! ```
//!
//! With your own server, set `REDIS_URL`.

mod support;

use axum::{Router, routing::get};
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::store::RedisStore;

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let url = support::variable(&["REDIS_URL", "TEST_REDIS_URL"], "redis://127.0.0.1/");
    let store = RedisStore::connect(&url).await.map_err(|error| {
        format!("{error:?}. Set REDIS_URL, or run this with scripts/with-servers")
    })?;
    let stage = support::Stage::new().await?;
    // Instances must share the store and, unlike here, the key ring, to decrypt each other's
    // grants.
    let auth = stage.auth().store(store).build()?;
    let page = |token: WebflowToken| async move { format!("connected: {token:?}") };
    stage.serve(Router::new().route("/", get(page)).layer(auth)).await
}

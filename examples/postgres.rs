//! Tokens in Postgres, shared by many instances of an application.
//!
//! `DATABASE_URL=postgres://127.0.0.1/postgres cargo run --example postgres --features postgres,testing`

mod support;

use axum::{Router, routing::get};
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::store::PostgresStore;

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let url = std::env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://127.0.0.1/postgres".to_owned());
    let store = PostgresStore::connect(&url).await?;
    let stage = support::Stage::new().await?;
    // Instances share the store and, unlike here, the key ring: or none opens what another sealed.
    let auth = stage.auth().store(store).build()?;
    let page = |token: WebflowToken| async move { format!("connected: {token:?}") };
    stage.serve(Router::new().route("/", get(page)).layer(auth)).await
}

//! Tokens in Postgres, shared by many instances of an application.
//!
//! `DATABASE_URL=postgres://127.0.0.1/postgres cargo run --example postgres --features postgres,testing`; Webflow is played by a
//! stand-in.
#![allow(clippy::print_stdout, reason = "it is run by hand")]

use axum::{Router, routing::get};
use tower_webflow_auth::store::PostgresStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, WebflowToken};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://127.0.0.1/postgres".to_owned());
    let store = PostgresStore::connect(&url).await?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let redirect_uri = "http://127.0.0.1:3000/auth/webflow/callback";
    let fake = FakeWebflow::builder().redirect_uri(redirect_uri).start().await?;
    let auth = WebflowAuthLayer::builder()
        .client_id(fake.client_id())
        .client_secret(fake.client_secret())
        .redirect_uri(redirect_uri)
        .scopes([Scope::SITES_READ])
        // All instances share the key, or none opens what another has sealed.
        .keyring(Keyring::from_base64(&std::env::var("WEBFLOW_AUTH_KEY").unwrap_or_else(|_| {
            println!("WEBFLOW_AUTH_KEY is not set: a key for this run only");
            Keyring::generate_base64()
        }))?)
        .store(store)
        .endpoints(fake.endpoints())
        .build()?;

    let app = Router::new()
        .route("/", get(|token: WebflowToken| async move { format!("connected: {token:?}") }))
        .layer(auth);
    println!("visit http://127.0.0.1:3000/");
    Ok(axum::serve(listener, app).await?)
}

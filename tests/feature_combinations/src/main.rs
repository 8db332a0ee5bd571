//! Connects to Redis over TLS: with the CA's file, and with the CA among the system's certificates.

use std::env::var;
use std::error::Error;

use tower_webflow_auth::store::{RedisStore, TokenStore};

fn main() -> Result<(), Box<dyn Error>> {
    // A lazy store is made outside a runtime.
    let url = var("TEST_REDIS_TLS_URL")?;
    let lazy = RedisStore::builder().ca_file(var("TEST_CA_FILE")?).connect_lazy(&url)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        lazy.healthy().await?;
        assert_eq!(var("SSL_CERT_FILE"), var("TEST_CA_FILE"), "scripts/feature-combinations sets it");
        RedisStore::connect(&url).await?.healthy().await?;
        Ok(())
    })
}

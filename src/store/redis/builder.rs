//! The settings of the store.

use std::time::Duration;

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::keys::Keys;
use super::{RedisStore, StoreError, unavailable};
use crate::store::TokenStore;

const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One more attempt within a request; between requests the connection comes back by itself.
const RETRIES: usize = 1;

/// The settings of a [`RedisStore`].
///
/// ```no_run
/// use tower_webflow_auth::store::{RedisStore, StoreError};
///
/// # async fn run() -> Result<(), StoreError> {
/// let store =
///     RedisStore::builder().key_prefix("app").connect("rediss://user@cache.internal/").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "`connect` makes the store"]
pub struct RedisStoreBuilder {
    prefix: String,
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self { prefix: "webflow".to_owned() }
    }
}

impl RedisStoreBuilder {
    /// What all keys begin with; default `webflow`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Connects to the server at that address.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address is malformed, or the server cannot be reached
    /// or does not let us in.
    pub async fn connect(self, url: &str) -> Result<RedisStore, StoreError> {
        let store = self.connect_lazy(url)?;
        store.healthy().await?;
        Ok(store)
    }

    /// The same without waiting: connects at the first use.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address is malformed.
    pub fn connect_lazy(self, url: &str) -> Result<RedisStore, StoreError> {
        let client = Client::open(url).map_err(unavailable)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(RETRIES)
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection =
            ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(unavailable)?;
        Ok(RedisStore { client, connection, keys: Keys::new(self.prefix) })
    }
}

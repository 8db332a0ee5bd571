//! The settings of the store.

use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::sync::OnceCell;

use super::names::Names;
use super::{PostgresStore, StoreError};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

/// The server gives a statement up after this, so that none is left behind by a request that
/// has been answered long since.
const STATEMENT_TIMEOUT: &str = "4s";

/// The settings of a [`PostgresStore`].
///
/// ```no_run
/// use tower_webflow_auth::store::{PostgresStore, StoreError};
///
/// # async fn run() -> Result<(), StoreError> {
/// let store = PostgresStore::builder()
///     .schema("webflow")
///     .table("grants")
///     .max_connections(5)
///     .connect("postgres://app@db.internal/app")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "`connect` makes the store"]
pub struct PostgresStoreBuilder {
    schema: String,
    table: String,
    max_connections: u32,
}

impl Default for PostgresStoreBuilder {
    fn default() -> Self {
        Self {
            schema: "public".to_owned(),
            table: "webflow_tokens".to_owned(),
            max_connections: 10,
        }
    }
}

impl PostgresStoreBuilder {
    /// The schema; default `public`. It is made if it is missing.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The table; default `webflow_tokens`. Lower-case letters, digits and `_`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// How many connections are kept at most, one of which listens for changes; default 10.
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Connects to the database at `postgres://..` and makes the tables if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::SchemaTooNew`].
    pub async fn connect(self, url: &str) -> Result<PostgresStore, StoreError> {
        let store = self.connect_lazy(url)?;
        match store.pool().await {
            Ok(_) => Ok(store),
            Err(StoreError::Timeout) => Err(why(url).await),
            Err(error) => Err(error),
        }
    }

    /// The same without waiting: connects, and makes the tables, at the first use. Until the
    /// database is there every operation fails.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address or a name is malformed.
    pub fn connect_lazy(self, url: &str) -> Result<PostgresStore, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(StoreError::unavailable)?
            .options([("statement_timeout", STATEMENT_TIMEOUT)]);
        let pool = PgPoolOptions::new()
            .max_connections(self.max_connections.max(2))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        self.with_pool(pool)
    }

    /// The store over a pool (of sqlx 0.9) that the application has already; the tables are made at
    /// the first use. One of its connections listens for changes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a name is malformed.
    pub fn with_pool(self, pool: PgPool) -> Result<PostgresStore, StoreError> {
        let names = Names::new(&self.schema, &self.table)?;
        Ok(PostgresStore { pool, names, ready: OnceCell::new() })
    }
}

/// Why a pool waited in vain: all that it tells is that its time is up.
async fn why(url: &str) -> StoreError {
    match tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect(url)).await {
        Ok(Err(error)) => StoreError::unavailable(error),
        Ok(Ok(_)) | Err(_) => StoreError::Timeout,
    }
}

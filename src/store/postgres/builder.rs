//! Settings of the Postgres store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::watch;

use super::changes::Listening;
use super::connections::{Connections, OPERATION_TIMEOUT};
use super::database::Database;
use super::names::Names;
use super::{PostgresStore, StoreError};
use crate::store::group::Group;

/// How many groups of writes run concurrently. A second would wait until the commit of the first is
/// synced, since both announce something, and each would be smaller.
const WRITING: usize = 1;

/// How many groups of loads run concurrently: enough to keep a server busy.
const LOADING: usize = 4;

/// Builds a [`PostgresStore`].
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
#[must_use = "call `connect` to create the store"]
pub struct PostgresStoreBuilder {
    schema: String,
    table: String,
    max_connections: u32,
    listen_url: Option<ListenUrl>,
}

/// A connection address, which may contain a password.
#[derive(Clone)]
struct ListenUrl(String);

impl fmt::Debug for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Default for PostgresStoreBuilder {
    fn default() -> Self {
        Self {
            schema: "public".to_owned(),
            table: "webflow_tokens".to_owned(),
            max_connections: 10,
            listen_url: None,
        }
    }
}

impl PostgresStoreBuilder {
    /// Sets the schema, created if it does not exist. The default is `public`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets the table name: lower-case letters, digits and `_`. The default is `webflow_tokens`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets the maximum number of connections for reads and writes, at least 1. The default is 10.
    /// One more connection listens for changes. [`with_pool`](Self::with_pool) ignores this.
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the address to listen on for changes by other instances. The default is the store's own
    /// address.
    ///
    /// Required behind a pooler in transaction mode, such as `PgBouncer` or the poolers of Neon and
    /// Supabase, because these do not support `LISTEN`. Use the database's direct address, or a
    /// pooler in session mode. Without it the store detects the pooler, logs that once and does not
    /// listen: changes by other instances then become visible when cache entries expire.
    ///
    /// ```no_run
    /// use tower_webflow_auth::store::{PostgresStore, StoreError};
    ///
    /// # async fn run() -> Result<(), StoreError> {
    /// let store = PostgresStore::builder()
    ///     .listen_url("postgres://app@db.internal:5432/app")
    ///     .connect("postgres://app@pooler.internal:6432/app")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen_url = Some(ListenUrl(url.into()));
        self
    }

    /// Connects to the database at `postgres://..`, creates missing tables, and tests what a login
    /// needs, as [`healthy`](crate::store::TokenStore::healthy) does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is unreachable or read-only, or if the role is
    /// missing a privilege, which the error names; [`StoreError::SchemaTooNew`].
    pub async fn connect(self, url: &str) -> Result<PostgresStore, StoreError> {
        let store = self.connect_lazy(url)?;
        store.probe().await?;
        Ok(store)
    }

    /// Like [`connect`](Self::connect), but connects and creates the tables on first use. Every
    /// operation fails until the database is reachable.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if an address or a name is malformed.
    pub fn connect_lazy(self, url: &str) -> Result<PostgresStore, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(StoreError::unavailable)?;
        let connections = Connections::new(options, self.max_connections);
        self.over(connections)
    }

    /// Creates a store on an existing sqlx 0.9 pool. The tables are created on first use.
    ///
    /// The store holds a pooled connection only during an operation, so a pool of one connection is
    /// enough. Listening uses a separate connection outside the pool, with the pool's options or at
    /// [`listen_url`](Self::listen_url).
    ///
    /// The store sets `statement_timeout` (4 s) and `lock_timeout` (1 s) on its own connections only. Set
    /// them in the pool's options, so that the server ends a statement that the store has given up.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the listen address or a name is malformed.
    pub fn with_pool(self, pool: PgPool) -> Result<PostgresStore, StoreError> {
        self.over(Connections::over(pool))
    }

    fn over(self, connections: Connections) -> Result<PostgresStore, StoreError> {
        let listen_options = self.listen_url.map(|url| PgConnectOptions::from_str(&url.0));
        let names = Names::new(&self.schema, &self.table)?;
        let database = Arc::new(Database::new(connections, names));
        Ok(PostgresStore {
            writes: Group::new(&database, WRITING, OPERATION_TIMEOUT),
            loads: Group::new(&database, LOADING, OPERATION_TIMEOUT),
            database,
            listen_options: listen_options.transpose().map_err(StoreError::unavailable)?,
            listening: watch::Sender::new(Listening::Unknown),
        })
    }
}

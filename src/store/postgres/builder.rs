//! The settings of the store.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::{OnceCell, watch};

use super::changes::Listening;
use super::connections::{Connections, OPERATION_TIMEOUT};
use super::names::Names;
use super::{PostgresStore, StoreError};
use crate::store::group::Group;

/// How many batches of saves and of loads are under way: enough to keep a server busy.
const SAVING: usize = 2;
const LOADING: usize = 4;

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
    listen_url: Option<ListenUrl>,
}

/// An address, which may hold a password.
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
    /// The schema; default `public`. It is created if it does not exist.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The table; default `webflow_tokens`. Lower-case letters, digits and `_`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// The most connections that are kept for reading and writing; default 10, at least 1. One more
    /// listens for changes. [`with_pool`](Self::with_pool) ignores it.
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// The address at which to listen for changes that other instances make; default the store's
    /// own.
    ///
    /// Needed behind a pooler in transaction mode, such as `PgBouncer` or those of Neon and Supabase,
    /// which keeps no `LISTEN`: give the database's direct address, or that of a pooler in session
    /// mode. Without it the store detects the pooler, logs it once and does not listen; the cache's
    /// time then bounds how old a grant may be.
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

    /// Connects to the database at `postgres://..`, creates the tables if they do not exist, and
    /// tries what a sign-in needs, as [`healthy`](crate::store::TokenStore::healthy) does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, is read-only or the role is missing
    /// a right, which the error names; [`StoreError::SchemaTooNew`].
    pub async fn connect(self, url: &str) -> Result<PostgresStore, StoreError> {
        let store = self.connect_lazy(url)?;
        store.probe().await?;
        Ok(store)
    }

    /// Like [`connect`](Self::connect), without waiting: connects and creates the tables at the
    /// first use. Until the database can be reached, every operation fails.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when an address or a name is malformed.
    pub fn connect_lazy(self, url: &str) -> Result<PostgresStore, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(StoreError::unavailable)?;
        let connections = Connections::new(options, self.max_connections);
        self.over(connections)
    }

    /// The store over a pool (of sqlx 0.9) that the application has already. The tables are created
    /// at the first use.
    ///
    /// The store holds a connection of the pool only for the time of an operation, so that a pool
    /// of one connection is enough. Listening takes a further connection outside of the pool, with
    /// the pool's options or at [`listen_url`](Self::listen_url).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address to listen at or a name is malformed.
    pub fn with_pool(self, pool: PgPool) -> Result<PostgresStore, StoreError> {
        self.over(Connections::over(pool))
    }

    fn over(self, connections: Connections) -> Result<PostgresStore, StoreError> {
        let listen_options = self.listen_url.map(|url| PgConnectOptions::from_str(&url.0));
        Ok(PostgresStore {
            connections,
            names: Names::new(&self.schema, &self.table)?,
            ready: OnceCell::new(),
            saves: Group::new(SAVING, OPERATION_TIMEOUT),
            loads: Group::new(LOADING, OPERATION_TIMEOUT),
            listen_options: listen_options.transpose().map_err(StoreError::unavailable)?,
            listening: watch::Sender::new(Listening::Unknown),
        })
    }
}

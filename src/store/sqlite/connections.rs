//! The connections to the file.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor};
use tokio::time::Instant;

use super::ACQUIRE_TIMEOUT;
use crate::store::pool::{Lease, Pool};

/// Connections that are opened when they are needed. One that meets an error is closed: it may have
/// been opened while the file was in another state, and SQLite may have rolled back by itself (full
/// disk), which sqlx does not notice (sqlx#3932).
pub struct Connections {
    options: SqliteConnectOptions,
    pool: Pool<SqliteConnection>,
}

impl Connections {
    pub fn new(options: SqliteConnectOptions, limit: u32) -> Self {
        Self { options, pool: Pool::new(limit) }
    }

    /// Adds a connection that is open already.
    pub fn add(&self, connection: SqliteConnection) {
        self.pool.add(connection);
    }

    pub async fn acquire(&self) -> Result<Lease<'_, SqliteConnection>, Error> {
        let slot = self.pool.slot(ACQUIRE_TIMEOUT).await?;
        Ok(match slot.idle() {
            Some(idle) => slot.lease(idle.connection, idle.opened),
            None => slot.lease(self.options.connect().await?, Instant::now()),
        })
    }

    /// Begins a transaction that takes the write lock first. A transaction that starts with a read
    /// could find the lock taken later, when waiting no longer helps.
    pub async fn begin(&self) -> Result<Lease<'_, SqliteConnection>, Error> {
        let mut connection = self.acquire().await?;
        connection.execute("BEGIN IMMEDIATE").await?;
        Ok(connection)
    }

    pub async fn close(&self) {
        for connection in self.pool.close().await {
            connection.close().await.ok();
        }
    }
}

/// Commits the transaction of this connection, and keeps the connection.
pub async fn commit(mut connection: Lease<'_, SqliteConnection>) -> Result<(), Error> {
    connection.execute("COMMIT").await?;
    connection.release();
    Ok(())
}

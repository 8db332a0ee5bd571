//! The connections to the file.

use deadpool::managed::{Manager, Metrics, RecycleResult};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, file};
use crate::store::pool::{self, Pool};

pub type Lease = pool::Lease<Opener>;

/// Connections that are opened when they are needed. One that meets an error is closed: it may have
/// been opened while the file was in another state, and SQLite may have rolled back by itself (full
/// disk), which sqlx does not notice (sqlx#3932).
pub struct Connections(Pool<Opener>);

pub struct Opener(SqliteConnectOptions);

impl Manager for Opener {
    type Type = SqliteConnection;
    type Error = Error;

    async fn create(&self) -> Result<SqliteConnection, Error> {
        Box::pin(self.0.connect()).await
    }

    async fn recycle(&self, _: &mut SqliteConnection, _: &Metrics) -> RecycleResult<Error> {
        Ok(())
    }
}

impl Connections {
    /// # Errors
    /// The pool rejects its settings.
    pub fn new(options: SqliteConnectOptions, limit: u32) -> Result<Self, Error> {
        pool::new(Opener(options), limit).map(Self)
    }

    /// Opens a connection and keeps it.
    pub async fn open_first(&self) -> Result<(), Error> {
        file::when_unlocked(|| self.acquire()).await.map(pool::release)
    }

    pub async fn acquire(&self) -> Result<Lease, Error> {
        timeout(ACQUIRE_TIMEOUT, pool::lease(&self.0)).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Begins a transaction that takes the write lock first. A transaction that starts with a read
    /// could find the lock taken later, when waiting no longer helps.
    pub async fn begin(&self) -> Result<Lease, Error> {
        let mut connection = self.acquire().await?;
        connection.execute("BEGIN IMMEDIATE").await?;
        Ok(connection)
    }

    /// Closes the connections that nobody uses. The others are closed when they are released.
    pub async fn close(&self) {
        let unused = self.0.retain(|_, _| false).removed;
        self.0.close();
        for connection in unused {
            connection.close().await.ok();
        }
    }
}

/// Commits the transaction of this connection, and keeps the connection.
pub async fn commit(mut connection: Lease) -> Result<(), Error> {
    connection.execute("COMMIT").await?;
    pool::release(connection);
    Ok(())
}

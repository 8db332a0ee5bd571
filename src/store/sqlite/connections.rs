//! The connections to the file.

use deadpool::managed::{Manager, Metrics, RecycleResult};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{ACQUIRE_TIMEOUT, file};
use crate::store::pool::{self, Pool};

pub type Lease = pool::Lease<Opener>;

/// Connections that are opened when they are needed. One that meets an error is closed: it may have
/// been opened while the file was in another state, and SQLite may have rolled back by itself (full
/// disk), which sqlx does not notice (sqlx#3932).
pub struct Connections {
    pool: Pool<Opener>,
    open: TaskTracker,
}

pub struct Opener {
    options: SqliteConnectOptions,
    open: TaskTracker,
}

/// An open connection, which is counted.
pub struct Open {
    connection: SqliteConnection,
    _counted: TaskTrackerToken,
}

impl Manager for Opener {
    type Type = Open;
    type Error = Error;

    async fn create(&self) -> Result<Open, Error> {
        let connection = Box::pin(self.options.connect()).await?;
        Ok(Open { connection, _counted: self.open.token() })
    }

    async fn recycle(&self, _: &mut Open, _: &Metrics) -> RecycleResult<Error> {
        Ok(())
    }
}

impl Connections {
    /// # Errors
    /// The pool rejects its settings.
    pub fn new(options: SqliteConnectOptions, limit: u32) -> Result<Self, Error> {
        let open = TaskTracker::new();
        let pool = pool::new(Opener { options, open: open.clone() }, limit)?;
        Ok(Self { pool, open })
    }

    /// Opens a connection and keeps it.
    pub async fn open_first(&self) -> Result<(), Error> {
        file::when_unlocked(|| self.acquire()).await.map(pool::release)
    }

    pub async fn acquire(&self) -> Result<Lease, Error> {
        timeout(ACQUIRE_TIMEOUT, pool::lease(&self.pool)).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Begins a transaction that takes the write lock first. A transaction that starts with a read
    /// could find the lock taken later, when waiting no longer helps.
    pub async fn begin(&self) -> Result<Lease, Error> {
        let mut lease = self.acquire().await?;
        connection(&mut lease).execute("BEGIN IMMEDIATE").await?;
        Ok(lease)
    }

    /// Closes all connections: those that are in use, at the end of their operations.
    pub async fn close(&self) {
        let unused = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for Open { connection, .. } in unused {
            connection.close().await.ok();
        }
        self.open.close();
        self.open.wait().await;
    }
}

pub fn connection(lease: &mut Lease) -> &mut SqliteConnection {
    &mut lease.connection
}

/// Commits the transaction of this connection, and keeps the connection.
pub async fn commit(mut lease: Lease) -> Result<(), Error> {
    connection(&mut lease).execute("COMMIT").await?;
    pool::release(lease);
    Ok(())
}

//! Returns connections to the pool only in a known state.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Executor, Sqlite};

/// A write transaction. If it is dropped early, by an error or a cancellation, it closes its
/// connection: SQLite may have rolled back by itself (full disk), which sqlx does not notice
/// (sqlx#3932), and the next transaction on that connection would fail.
#[derive(Debug)]
pub struct WriteTransaction {
    connection: PoolConnection<Sqlite>,
    ended: bool,
}

impl WriteTransaction {
    /// Takes the write lock first. A transaction that starts with a read could find the lock taken
    /// later, when waiting no longer helps.
    pub async fn begin(pool: &SqlitePool) -> Result<Self, sqlx::Error> {
        let mut transaction = Self { connection: pool.acquire().await?, ended: false };
        transaction.execute("BEGIN IMMEDIATE").await?;
        Ok(transaction)
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.connection.execute(statement).await?;
        self.ended = true;
        Ok(())
    }
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// Returns a connection that has read to the pool, or closes it after an error: it may have been
/// opened while the file was in another state.
pub fn settle<T>(
    mut connection: PoolConnection<Sqlite>,
    result: Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    if result.is_err() {
        connection.close_on_drop();
    }
    result
}

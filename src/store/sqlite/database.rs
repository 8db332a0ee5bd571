//! The open file: its connections, reads and grouped writes.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Encode, Sqlite, Type};

use super::connections::{Connections, Lease, commit, connection};
use super::file::{WatchedFile, separation};
use super::rows::{self, sql_row};
use crate::store::group::{Engine, Outcomes, Separation, Write};
use crate::store::pool;
use crate::store::sql_row::{SqlRow, newest_first};
use crate::store::{SealedToken, StoreError};

pub struct Database {
    /// One is opened with the store, so that reads continue when a full disk prevents opening
    /// another.
    pub readers: Connections,
    /// A single connection, since SQLite allows one writer. Writes queue here, so another process's
    /// lock never occupies a read connection.
    pub writer: Connections,
    pub file: WatchedFile,
}

impl Database {
    pub async fn begin(&self) -> Result<Lease, StoreError> {
        self.file.check()?;
        self.writer.begin().await.map_err(|error| self.file.explain(error))
    }

    pub async fn delete(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let done = query.execute(connection(&mut transaction)).await.map_err(explain)?;
        commit(transaction).await.map_err(explain)?;
        Ok(done.rows_affected())
    }

    /// The rows that this query returns for the key.
    pub async fn read<'q>(
        &self,
        query: &'static str,
        key: impl Encode<'q, Sqlite> + Type<Sqlite>,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let rows = self.rows(sqlx::query(query).bind(key)).await?;
        Ok(newest_first(rows.into_iter()))
    }

    pub async fn rows(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<Option<SqlRow>>, StoreError> {
        self.file.check()?;
        let explain = |error| self.file.explain(error);
        let mut lease = self.readers.acquire().await.map_err(explain)?;
        let rows = query.fetch_all(connection(&mut lease)).await.map_err(explain)?;
        pool::release(lease);
        Ok(rows.iter().map(sql_row).collect())
    }
}

impl Engine<Write> for Database {
    /// There is one connection that writes.
    const CAN_PASS: bool = false;

    /// In one transaction: an error of one write rolls all of them back.
    async fn run(&self, writes: &[Write]) -> Result<Outcomes<bool>, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let mut found = Vec::with_capacity(writes.len());
        for write in writes {
            found.push(Ok(rows::write(connection(&mut transaction), write)
                .await
                .map_err(explain)?));
        }
        commit(transaction).await.map_err(explain)?;
        Ok(found)
    }

    fn after(error: &StoreError) -> Separation {
        separation(error)
    }
}

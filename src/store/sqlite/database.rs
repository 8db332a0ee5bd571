//! The open file: its connections, and grouped reads and writes.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool};
use sqlx::{Encode, Sqlite, Type};

use super::file::{WatchedFile, may_be_of_one_row};
use super::rows::{self, LOADED_AT_ONCE, sql_row};
use super::transaction::{WriteTransaction, settle};
use crate::store::group::{Engine, Load, Outcomes, Write};
use crate::store::sql_row::{SqlRow, newest_first};
use crate::store::{SealedToken, StoreError};

pub struct Database {
    /// Keeps at least one connection open, so that reads continue when a full disk prevents opening
    /// another.
    pub readers: SqlitePool,
    /// A single connection, since SQLite allows one writer. Writes queue here, so another process's
    /// lock never occupies a read connection.
    pub writer: SqlitePool,
    pub file: WatchedFile,
}

impl Database {
    pub async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.file.check()?;
        WriteTransaction::begin(&self.writer).await.map_err(|error| self.file.explain(error))
    }

    pub async fn delete(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let done = query.execute(&mut *transaction).await.map_err(explain)?;
        transaction.commit().await.map_err(explain)?;
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
        let mut connection = self.readers.acquire().await.map_err(explain)?;
        let rows = query.fetch_all(&mut *connection).await;
        let rows = settle(connection, rows).map_err(explain)?;
        Ok(rows.iter().map(sql_row).collect())
    }
}

impl Engine<Load> for Database {
    async fn run(&self, loads: &[Load]) -> Result<Outcomes<Vec<SealedToken>>, StoreError> {
        self.file.check()?;
        let explain = |error| self.file.explain(error);
        let mut connection = self.readers.acquire().await.map_err(explain)?;
        let mut found = Vec::with_capacity(loads.len());
        for loads in loads.chunks(LOADED_AT_ONCE) {
            let mut query = sqlx::query_scalar::<_, Option<String>>(rows::load(loads.len()));
            for Load(subject) in loads {
                query = query.bind(subject.as_str().as_bytes());
            }
            match query.fetch_one(&mut *connection).await {
                Ok(text) => {
                    let rows = text.iter().flat_map(|text| rows::loaded(text));
                    found.extend(Load::share(loads, newest_first(rows)));
                }
                Err(error) => return settle(connection, Err(error)).map_err(explain),
            }
        }
        Ok(found)
    }

    fn may_be_of_one(error: &StoreError) -> bool {
        may_be_of_one_row(error)
    }
}

impl Engine<Write> for Database {
    /// In one transaction: an error of one write rolls all of them back.
    async fn run(&self, writes: &[Write]) -> Result<Outcomes<bool>, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let mut found = Vec::with_capacity(writes.len());
        for write in writes {
            found.push(Ok(rows::write(&mut transaction, write).await.map_err(explain)?));
        }
        transaction.commit().await.map_err(explain)?;
        Ok(found)
    }

    fn may_be_of_one(error: &StoreError) -> bool {
        may_be_of_one_row(error)
    }
}

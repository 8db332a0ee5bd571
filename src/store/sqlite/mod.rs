//! A token store in a single SQLite file.

mod file;
mod rows;
mod schema;
mod transaction;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Encode, Executor, Sqlite, Type};

use super::sql_row::{Page, SqlRow, behind, cutoff, newest_first, page, unavailable, unix_secs};
use super::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;
use file::{OPEN_TIMEOUT, WatchedFile};
use rows::{BY_SITE, BY_WORKSPACE, LOAD, PAGE, PURGE, REMOVE, SAVE, UPDATE, sql_row};
use transaction::{WriteTransaction, settle};

/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an operation waits for a connection; a write waits for the previous write.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

const READERS: u32 = 4;

/// Keeps sealed tokens in a single SQLite file, for applications without a database server.
///
/// Opening creates a missing file with mode 0600 and migrates it, even if several processes open it
/// at once. The database uses WAL mode with a separate connection for writes, so reads do not wait
/// for writes. A write that another process blocks fails after 2 seconds. If the file at the path
/// is no longer the one that was opened, every operation fails until it is back, because writes to
/// a deleted file would be lost.
///
/// [`healthy`](TokenStore::healthy) writes, reads and removes a row in one transaction that reaches
/// the disk. Call it every few seconds, not on every request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.db");
/// use tower_webflow_auth::store::{SqliteStore, TokenStore};
///
/// let store = SqliteStore::open(&path).await?;
/// store.healthy().await?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteStore {
    /// Keeps at least one connection open, so that reads continue when a full disk prevents opening
    /// another.
    readers: SqlitePool,
    /// A single connection, since SQLite allows one writer. Writes queue here, so another process's
    /// lock never occupies a read connection.
    writer: SqlitePool,
    file: WatchedFile,
}

impl SqliteStore {
    /// Opens the file at `path`, or creates it; its directory must exist. The process needs
    /// permission to write the file and to create others next to it. Opening writes and removes a
    /// row, so that a missing permission or a full disk is found here.
    ///
    /// `path` is a path, not a URL: `":memory:"`, `"sqlite:.."`, `"file:.."` and the empty path are
    /// rejected. To keep grants in memory, use [`MemoryStore`](super::MemoryStore).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file is not a database or cannot be opened, created,
    /// written or migrated, naming any missing permission; [`StoreError::SchemaTooNew`] if a newer
    /// version of the crate has migrated it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = file::resolve(path.as_ref())?;
        file::create(&path)?;
        let file = WatchedFile::open(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("secure_delete", "ON");
        prepare(&options.clone().busy_timeout(OPEN_TIMEOUT), &file).await?;
        let options = options.busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None);
        let writer = pool.clone().max_connections(1).connect_lazy_with(options.clone());
        let readers = pool.min_connections(1).max_connections(READERS);
        let readers = file::when_unlocked(|| readers.clone().connect_with(options.clone())).await;
        let readers = readers.map_err(|error| file.explain(error))?;
        Ok(Self { readers, writer, file })
    }

    /// Closes the file. Committed writes stay.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.file.check()?;
        WriteTransaction::begin(&self.writer).await.map_err(|error| self.file.explain(error))
    }

    /// Writes the row with this statement, and what it covers. Returns false if there is no such
    /// row.
    async fn write(&self, query: &'static str, token: &SealedToken) -> Result<bool, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let written = rows::write(&mut transaction, query, token).await.map_err(explain)?;
        if written {
            transaction.commit().await.map_err(explain)?;
        } else {
            transaction.rollback().await.map_err(explain)?;
        }
        Ok(written)
    }

    async fn delete(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<u64, StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        let done = query.execute(&mut *transaction).await.map_err(explain)?;
        transaction.commit().await.map_err(explain)?;
        Ok(done.rows_affected())
    }

    async fn read<'q>(
        &self,
        query: &'static str,
        key: impl Encode<'q, Sqlite> + Type<Sqlite>,
    ) -> Result<Vec<SealedToken>, StoreError> {
        self.file.check()?;
        let explain = |error| self.file.explain(error);
        let mut connection = self.readers.acquire().await.map_err(explain)?;
        let rows = sqlx::query(query).bind(key).fetch_all(&mut *connection).await;
        let rows = settle(connection, rows).map_err(explain)?;
        Ok(newest_first(rows.iter().map(sql_row)))
    }
}

/// Migrates the database, and checks that this process can do what a login needs.
async fn prepare(options: &SqliteConnectOptions, file: &WatchedFile) -> Result<(), StoreError> {
    let explain = |error| file.explain(error);
    let mut connection = file::when_unlocked(|| options.connect()).await.map_err(explain)?;
    connection.execute("BEGIN IMMEDIATE").await.map_err(explain)?;
    schema::migrate(&mut connection, file).await?;
    rows::probe(&mut connection).await.map_err(explain)?;
    connection.execute("COMMIT").await.map_err(explain)?;
    connection.close().await.map_err(explain)
}

impl TokenStore for SqliteStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.read(LOAD, subject.as_str().as_bytes()).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.write(SAVE, token).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let remove = sqlx::query(REMOVE)
            .bind(key.subject().as_str().as_bytes())
            .bind(key.grant().as_str())
            .bind(version.as_i64());
        self.delete(remove).await.map(|count| count > 0)
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.write(UPDATE, token).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.read(BY_SITE, site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.read(BY_WORKSPACE, workspace_id).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let explain = |error| self.file.explain(error);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (mut subject, mut grant) = behind(after);
        loop {
            self.file.check()?;
            let mut connection = self.readers.acquire().await.map_err(explain)?;
            let query = sqlx::query(PAGE).bind(&subject).bind(&grant).bind(limit);
            let rows = query.fetch_all(&mut *connection).await;
            let rows = settle(connection, rows).map_err(explain)?;
            match page(rows.iter().map(sql_row).collect()) {
                Page::Rows(rows) => return Ok(rows),
                Page::Malformed { subject: last, grant: of } => (subject, grant) = (last, of),
            }
        }
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        let purge = sqlx::query(PURGE);
        self.delete(purge.bind(cutoff(age))).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        let explain = |error| self.file.explain(error);
        let mut transaction = self.begin().await?;
        rows::probe(&mut transaction).await.map_err(explain)?;
        transaction.commit().await.map_err(explain)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.file).finish_non_exhaustive()
    }
}

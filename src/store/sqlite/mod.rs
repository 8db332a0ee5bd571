//! A token store in a single SQLite file.

mod connections;
mod database;
mod file;
mod rows;
mod schema;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};

use super::group::{Group, Write};
use super::sql_row::{Page, SqlRow, behind, cutoff, page, unavailable, unix_secs};
use super::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;
use connections::{Connections, commit, connection};
use database::Database;
use file::{OPEN_TIMEOUT, WatchedFile};
use rows::{BY_SITE, BY_WORKSPACE, LOAD, PAGE, PURGE};

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
    database: Arc<Database>,
    /// One group at a time, so that writes are made in order.
    writes: Group<Database, Write>,
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
        let readers = Connections::new(options.clone(), READERS).map_err(unavailable)?;
        readers.open_first().await.map_err(|error| file.explain(error))?;
        let writer = Connections::new(options, 1).map_err(unavailable)?;
        let database = Arc::new(Database { readers, writer, file });
        Ok(Self { writes: Group::new(&database, 1, ACQUIRE_TIMEOUT), database })
    }

    /// Closes the file. Committed writes stay, operations under way end, and later ones fail.
    pub async fn close(&self) {
        self.database.writer.close().await;
        self.database.readers.close().await;
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
        self.database.read(LOAD, subject.as_str().as_bytes()).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.writes.run(Write::Save(token.clone())).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.writes.run(Write::Remove(key.clone(), version)).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.writes.run(Write::Update(token.clone())).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.database.read(BY_SITE, site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.database.read(BY_WORKSPACE, workspace_id).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (mut subject, mut grant) = behind(after);
        loop {
            let query = sqlx::query(PAGE).bind(&subject).bind(&grant).bind(limit);
            match page(self.database.rows(query).await?) {
                Page::Rows(rows) => return Ok(rows),
                Page::Malformed { subject: last, grant: of } => (subject, grant) = (last, of),
            }
        }
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.database.delete(sqlx::query(PURGE).bind(cutoff(age))).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        let explain = |error| self.database.file.explain(error);
        let mut transaction = self.database.begin().await?;
        rows::probe(connection(&mut transaction)).await.map_err(explain)?;
        commit(transaction).await.map_err(explain)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.database.file).finish_non_exhaustive()
    }
}

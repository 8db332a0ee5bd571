//! A store in one SQLite file.

mod file;
mod schema;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, Sqlite};

use super::columns::{Columns, cutoff, tokens, unavailable, unix_secs};
use super::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;
use file::WatchedFile;

/// How long a connection waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an operation waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

const MAX_CONNECTIONS: u32 = 4;

/// Keeps sealed tokens in one SQLite file: the embedded default.
///
/// The file is made if it is missing, readable by its owner only (mode 0600), and migrated when
/// it is opened, also when several processes open it at once. It is in WAL mode, so readers do
/// not wait for a writer. When the file at the path is no longer the one that was opened, every
/// operation fails until it is back: writing on into a deleted file would lose tokens.
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
    pool: SqlitePool,
    file: WatchedFile,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it; its folder must be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened, made or migrated, or is not a
    /// database; [`StoreError::SchemaTooNew`] when a newer version of the crate has migrated it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        file::create(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("secure_delete", "ON");
        let pool = PoolOptions::<Sqlite>::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(unavailable)?;
        schema::migrate(&pool).await?;
        Ok(Self { pool, file: WatchedFile::at(path)? })
    }

    /// Closes the file; what was written stays.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Writes the row by that statement, and what it covers. False when there was no such row.
    async fn write(&self, query: &'static str, token: &SealedToken) -> Result<bool, StoreError> {
        // Taking the write lock at once: a transaction that begins by reading could find it taken
        // later, when waiting no longer helps.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        let id: Option<i64> = sqlx::query_scalar(query)
            .bind(token.key().subject().as_str().as_bytes())
            .bind(token.key().grant().as_str())
            .bind(token.version().as_i64())
            .bind(token.sealed())
            .bind(unix_secs(token.obtained_at()))
            .bind(list(token.sites()))
            .bind(list(token.workspaces()))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let Some(id) = id else { return Ok(false) };
        sqlx::query("DELETE FROM webflow_token_coverage WHERE token_id = ?1")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let sites = token.sites().iter().map(|site| ("s", site));
        let workspaces = token.workspaces().iter().map(|workspace| ("w", workspace));
        for (kind, covered) in sites.chain(workspaces) {
            sqlx::query(
                "INSERT OR IGNORE INTO webflow_token_coverage (token_id, kind, covered) \
                 VALUES (?1, ?2, ?3)",
            )
            .bind(id)
            .bind(kind)
            .bind(covered)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(true)
    }

    async fn covering(
        &self,
        query: &'static str,
        id: &str,
    ) -> Result<Vec<SealedToken>, StoreError> {
        self.file.check()?;
        let rows = sqlx::query(query).bind(id).fetch_all(&self.pool).await.map_err(unavailable)?;
        Ok(tokens(rows.iter().map(columns)))
    }
}

const LOAD: &str = "SELECT subject, grant_id, version, sealed, obtained_at, sites, workspaces \
     FROM webflow_tokens WHERE subject = ?1";

const BY_SITE: &str = "SELECT t.subject, t.grant_id, t.version, t.sealed, t.obtained_at, t.sites, \
     t.workspaces FROM webflow_tokens t JOIN webflow_token_coverage c ON c.token_id = t.id \
     WHERE c.kind = 's' AND c.covered = ?1";

const BY_WORKSPACE: &str = "SELECT t.subject, t.grant_id, t.version, t.sealed, t.obtained_at, \
     t.sites, t.workspaces FROM webflow_tokens t JOIN webflow_token_coverage c ON c.token_id = t.id \
     WHERE c.kind = 'w' AND c.covered = ?1";

const SAVE: &str = "INSERT INTO webflow_tokens \
     (subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT (subject, grant_id) DO UPDATE SET version = excluded.version, \
     sealed = excluded.sealed, obtained_at = excluded.obtained_at, sites = excluded.sites, \
     workspaces = excluded.workspaces RETURNING id";

const UPDATE: &str = "UPDATE webflow_tokens \
     SET sealed = ?4, obtained_at = ?5, sites = ?6, workspaces = ?7 \
     WHERE subject = ?1 AND grant_id = ?2 AND version = ?3 RETURNING id";

impl TokenStore for SqliteStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.file.check()?;
        let rows = sqlx::query(LOAD)
            .bind(subject.as_str().as_bytes())
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(tokens(rows.iter().map(columns)))
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.file.check()?;
        self.write(SAVE, token).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.file.check()?;
        let gone = sqlx::query(
            "DELETE FROM webflow_tokens WHERE subject = ?1 AND grant_id = ?2 AND version = ?3",
        )
        .bind(key.subject().as_str().as_bytes())
        .bind(key.grant().as_str())
        .bind(version.as_i64())
        .execute(&self.pool)
        .await
        .map_err(unavailable)?;
        Ok(gone.rows_affected() > 0)
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.file.check()?;
        self.write(UPDATE, token).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.covering(BY_SITE, site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.covering(BY_WORKSPACE, workspace_id).await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.file.check()?;
        let gone = sqlx::query("DELETE FROM webflow_tokens WHERE obtained_at < ?1")
            .bind(cutoff(age))
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(gone.rows_affected())
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        self.file.check()?;
        sqlx::query("SELECT 1 FROM webflow_tokens LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .map(drop)
            .map_err(unavailable)
    }
}

fn columns(row: &SqliteRow) -> Option<Columns> {
    let ids = |column| serde_json::from_str(&row.try_get::<String, _>(column).ok()?).ok();
    Some(Columns {
        subject: row.try_get(0).ok()?,
        grant: row.try_get(1).ok()?,
        version: row.try_get(2).ok()?,
        sealed: row.try_get(3).ok()?,
        obtained_at: row.try_get(4).ok()?,
        sites: ids(5)?,
        workspaces: ids(6)?,
    })
}

fn list(ids: &[String]) -> String {
    serde_json::to_string(ids).unwrap_or_else(|_| "[]".to_owned())
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.file).finish_non_exhaustive()
    }
}

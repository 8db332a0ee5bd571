//! A store in an existing Postgres.

mod builder;
mod changes;
mod names;
mod schema;

use std::fmt;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use tokio::sync::OnceCell;

use super::columns::{Columns, cutoff, tokens, unavailable, unix_secs};
use super::{ChangeSink, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;

pub use builder::PostgresStoreBuilder;
use names::{Names, Statement};

/// Keeps sealed tokens in an existing Postgres, for applications of many instances.
///
/// Makes its tables by itself, also when ten instances start at once. Every change is announced
/// to the other instances (`NOTIFY`), so that their caches forget what has changed. Subjects are
/// kept as bytes and compared exactly.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webflow_auth::store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://app@db.example.com/app").await?;
/// let elsewhere = PostgresStore::builder()
///     .schema("auth")
///     .table("webflow_grants")
///     .connect("postgres://app@db.example.com/app")
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore {
    pool: PgPool,
    names: Names,
    /// Whether the tables are known to be there; made at the first use of a lazy store.
    ready: OnceCell<()>,
}

impl PostgresStore {
    /// Connects to the database at that address and makes the tables if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached or does not let us in;
    /// [`StoreError::SchemaTooNew`] when a newer version of the crate has migrated it.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// The settings, one by one.
    pub fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::default()
    }

    async fn pool(&self) -> Result<&PgPool, StoreError> {
        self.ready.get_or_try_init(|| schema::migrate(&self.pool, &self.names)).await?;
        Ok(&self.pool)
    }

    async fn select(
        &self,
        condition: &'static str,
        value: &str,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let query = self.names.select(condition);
        let rows = sqlx::query(query)
            .bind(value)
            .fetch_all(self.pool().await?)
            .await
            .map_err(unavailable)?;
        Ok(tokens(rows.iter().map(columns)))
    }

    /// Writes the row by that statement. False when there was no such row.
    async fn write(&self, query: Statement, token: &SealedToken) -> Result<bool, StoreError> {
        let subject = token.key().subject();
        let written = sqlx::query(query)
            .bind(subject.as_str().as_bytes())
            .bind(token.key().grant().as_str())
            .bind(token.version().as_i64())
            .bind(token.sealed())
            .bind(unix_secs(token.obtained_at()))
            .bind(token.sites())
            .bind(token.workspaces())
            .bind(self.names.channel())
            .bind(changes::payload(subject))
            .fetch_optional(self.pool().await?)
            .await
            .map_err(unavailable)?;
        Ok(written.is_some())
    }
}

impl TokenStore for PostgresStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let query = self.names.select("subject = $1");
        let rows = sqlx::query(query)
            .bind(subject.as_str().as_bytes())
            .fetch_all(self.pool().await?)
            .await
            .map_err(unavailable)?;
        Ok(tokens(rows.iter().map(columns)))
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.write(self.names.save(), token).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let gone = sqlx::query(self.names.remove())
            .bind(key.subject().as_str().as_bytes())
            .bind(key.grant().as_str())
            .bind(version.as_i64())
            .bind(self.names.channel())
            .bind(changes::payload(key.subject()))
            .fetch_optional(self.pool().await?)
            .await
            .map_err(unavailable)?;
        Ok(gone.is_some())
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.write(self.names.update(), token).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.select("sites @> ARRAY[$1]", site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.select("workspaces @> ARRAY[$1]", workspace_id).await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(self.names.purge())
            .bind(cutoff(age))
            .bind(self.names.channel())
            .bind(changes::EVERYTHING)
            .fetch_one(self.pool().await?)
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        self.select("false AND grant_id = $1", "").await.map(drop)
    }

    async fn watch(&self, changes: ChangeSink) {
        changes::watch(&self.pool, self.names.channel(), &changes).await;
    }
}

fn columns(row: &PgRow) -> Option<Columns> {
    Some(Columns {
        subject: row.try_get(0).ok()?,
        grant: row.try_get(1).ok()?,
        version: row.try_get(2).ok()?,
        sealed: row.try_get(3).ok()?,
        obtained_at: row.try_get(4).ok()?,
        sites: row.try_get(5).ok()?,
        workspaces: row.try_get(6).ok()?,
    })
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("table", &self.names).finish_non_exhaustive()
    }
}

//! A token store in an existing Postgres database.

mod builder;
mod changes;
mod connections;
mod database;
mod fault;
mod ids;
mod names;
mod open;
mod pooler;
mod rights;
mod schema;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};
use tokio::sync::watch;
use tokio::time::timeout;

use super::group::{Group, Load, Write};
use super::sql_row::{Page, SqlRow, behind, cutoff, newest_first, page, unavailable, unix_secs};
use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::crypto::random;
use crate::identity::subject::Subject;

pub use builder::PostgresStoreBuilder;
use changes::{Listener, Listening};
use database::Database;
use ids::{check_grant_id, is_indexed};
use write::Rows;

/// How long the doctor waits for the first attempt to listen.
const LISTENING_WAIT: Duration = Duration::from_secs(3);

const PAGE: &str = "(subject, grant_id COLLATE \"C\") > ($1, $2) \
                    ORDER BY subject, grant_id COLLATE \"C\" LIMIT $3";

/// The subject of the row that a health check writes and removes: no subject's own bytes.
const PROBE_SUBJECT: &[u8] = b"probe";

/// Keeps sealed tokens in an existing Postgres database, for applications with many instances.
///
/// Creates its tables, even if many instances start at once. Every change is announced to the other
/// instances (`NOTIFY`), which then invalidate their cache entries. Subjects are stored as bytes
/// and compared exactly.
///
/// A failed connection is closed and its operation retried on a new one for two seconds, which
/// hides a failover behind the address. Poolers in transaction mode are detected; see
/// [`PostgresStoreBuilder::listen_url`].
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
    database: Arc<Database>,
    writes: Group<Database, Write>,
    loads: Group<Database, Load>,
    listen_options: Option<PgConnectOptions>,
    listening: watch::Sender<Listening>,
}

impl PostgresStore {
    /// Connects to the database at `url`, creates missing tables, and tests what a login needs,
    /// like [`PostgresStoreBuilder::connect`] with the default settings.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is unreachable or read-only, or if the role is
    /// missing a privilege, which the error names; [`StoreError::SchemaTooNew`] if a newer version
    /// of the crate has migrated it.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::default()
    }

    async fn select(
        &self,
        condition: &'static str,
        id: &str,
    ) -> Result<Vec<SealedToken>, StoreError> {
        if !is_indexed(id) {
            return Ok(Vec::new());
        }
        let rows = self
            .database
            .execute(|| vec![sqlx::query(self.database.names.select(condition)).bind(id)])
            .await?;
        Ok(newest_first(rows.iter().map(sql_row)))
    }

    /// Does what a login does, with a row that belongs to nobody.
    async fn probe(&self) -> Result<(), StoreError> {
        let (grant, names) = (random::token_256(), &self.database.names);
        let row = Rows::probe(PROBE_SUBJECT, &grant, unix_secs(SystemTime::now()));
        let probe = self.database.execute(|| {
            let load = sqlx::query(names.select("subject = $1")).bind(PROBE_SUBJECT);
            vec![row.save(names), load, row.remove(names)]
        });
        probe.await.map(drop)
    }
}

impl TokenStore for PostgresStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.loads.run(Load(subject.clone())).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        check_grant_id(token.key())?;
        self.writes.run(Write::Save(token.clone())).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        if check_grant_id(key).is_err() {
            return Ok(false);
        }
        self.writes.run(Write::Remove(key.clone(), version)).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        check_grant_id(token.key())?;
        self.writes.run(Write::Update(token.clone())).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.select("sites @> ARRAY[$1]", site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.select("workspaces @> ARRAY[$1]", workspace_id).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (mut subject, mut grant) = behind(after);
        // No stored grant contains NUL, so what precedes it marks the same place.
        grant.truncate(grant.find('\0').unwrap_or(grant.len()));
        loop {
            let rows = self.database.execute(|| {
                let query = sqlx::query(self.database.names.select(PAGE));
                vec![query.bind(&subject).bind(&grant).bind(limit)]
            });
            match page(rows.await?.iter().map(sql_row).collect()) {
                Page::Rows(rows) => return Ok(rows),
                Page::Malformed { subject: last, grant: of } => (subject, grant) = (last, of),
            }
        }
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        let before = cutoff(age);
        let rows = self.database.execute(|| {
            let query = sqlx::query(self.database.names.purge())
                .bind(before)
                .bind(self.database.names.channel())
                .bind(changes::EVERYTHING);
            vec![query]
        });
        let rows = rows.await?;
        let count: i64 = match rows.first() {
            Some(row) => row.try_get(0).map_err(unavailable)?,
            None => 0,
        };
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Writes, announces and removes a row that belongs to nobody, as a login would.
    async fn healthy(&self) -> Result<(), StoreError> {
        self.probe().await
    }

    async fn warnings(&self) -> Vec<String> {
        let mut listening = self.listening.subscribe();
        let known = listening.wait_for(|listening| !matches!(listening, Listening::Unknown));
        timeout(LISTENING_WAIT, known).await.ok();
        let warning = match &*self.listening.borrow() {
            Listening::Unknown | Listening::Yes => return Vec::new(),
            Listening::Pooled => "the address leads to a pooler, so changes by other instances \
                                  become visible when cache entries expire: set \
                                  PostgresStoreBuilder::listen_url to a direct address"
                .to_owned(),
            Listening::Failing(error) => {
                format!("not receiving changes by other instances: {error}")
            }
        };
        vec![warning]
    }

    async fn watch(&self, changes: Invalidator) {
        let listener = Listener {
            connections: &self.database.connections,
            elsewhere: self.listen_options.as_ref(),
            channel: self.database.names.channel(),
            status: &self.listening,
        };
        listener.watch(&changes).await;
    }
}

fn sql_row(row: &PgRow) -> Option<SqlRow> {
    Some(SqlRow {
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
        f.debug_struct("PostgresStore").field("table", &self.database.names).finish_non_exhaustive()
    }
}

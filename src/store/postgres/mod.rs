//! A token store in an existing Postgres database.

mod builder;
mod changes;
mod connections;
mod fault;
mod ids;
mod names;
mod pooler;
mod rights;
mod schema;

use std::fmt;
use std::time::{Duration, SystemTime};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Error, Row};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

use super::sql_row::{Page, SqlRow, behind, cutoff, newest_first, page, unavailable, unix_secs};
use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::crypto::random;
use crate::identity::subject::Subject;

pub use builder::PostgresStoreBuilder;
use changes::{Listener, Listening};
use connections::{BoundQuery, Connections};
use ids::{grant_id, indexed, is_indexed};
use names::{Names, Statement};

/// How long the doctor waits for the first attempt to listen.
const LISTENING_WAIT: Duration = Duration::from_secs(3);

/// The subject of the row that a health check writes and removes: no subject's own bytes.
const PAGE: &str = "(subject, grant_id COLLATE \"C\") > ($1, $2) \
                    ORDER BY subject, grant_id COLLATE \"C\" LIMIT $3";

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
    connections: Connections,
    names: Names,
    /// Set once the tables are known to exist.
    ready: OnceCell<()>,
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

    async fn run<'q>(
        &self,
        statements: impl Fn() -> Vec<BoundQuery<'q>> + Send + Sync,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.ready.get_or_try_init(|| self.migrate()).await?;
        match self.connections.run(statements).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        match self.connections.migrate(&self.names).await {
            Ok(found) if found > schema::KNOWN => {
                Err(StoreError::SchemaTooNew { found, known: schema::KNOWN })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn explain(&self, error: Error) -> StoreError {
        if !fault::is_missing_right(&error) {
            return fault::store_error(error);
        }
        match rights::explain(&self.connections.options(), &self.names, error).await {
            Ok(missing) => StoreError::unavailable(missing),
            Err(error) => fault::store_error(error),
        }
    }

    async fn select(
        &self,
        condition: &'static str,
        id: &str,
    ) -> Result<Vec<SealedToken>, StoreError> {
        if !is_indexed(id) {
            return Ok(Vec::new());
        }
        let rows = self.run(|| vec![sqlx::query(self.names.select(condition)).bind(id)]).await?;
        Ok(newest_first(rows.iter().map(sql_row)))
    }

    /// Writes the row with this statement. Returns false if there is no such row.
    async fn write(
        &self,
        statement: fn(&Names) -> Statement,
        token: &SealedToken,
    ) -> Result<bool, StoreError> {
        let grant = grant_id(token.key())?;
        let subject = token.key().subject();
        let (sites, workspaces) = (indexed(token.sites()), indexed(token.workspaces()));
        let payload = changes::payload(subject);
        let written = self.run(|| {
            let query = sqlx::query(statement(&self.names))
                .bind(subject.as_str().as_bytes())
                .bind(grant)
                .bind(token.version().as_i64())
                .bind(token.sealed())
                .bind(unix_secs(token.obtained_at()))
                .bind(&sites)
                .bind(&workspaces)
                .bind(self.names.channel())
                .bind(&payload);
            vec![query]
        });
        Ok(!written.await?.is_empty())
    }

    /// Does what a login does, with a row that belongs to nobody.
    async fn probe(&self) -> Result<(), StoreError> {
        let grant = random::token_256();
        let nothing: Vec<&str> = Vec::new();
        let probe = self.run(|| {
            let names = &self.names;
            let save = sqlx::query(names.save())
                .bind(PROBE_SUBJECT)
                .bind(&grant)
                .bind(1_i64)
                .bind(PROBE_SUBJECT)
                .bind(unix_secs(SystemTime::now()))
                .bind(&nothing)
                .bind(&nothing)
                .bind(names.channel())
                .bind(changes::PROBE);
            let load = sqlx::query(names.select("subject = $1")).bind(PROBE_SUBJECT);
            let remove = sqlx::query(names.remove())
                .bind(PROBE_SUBJECT)
                .bind(&grant)
                .bind(1_i64)
                .bind(names.channel())
                .bind(changes::PROBE);
            vec![save, load, remove]
        });
        probe.await.map(drop)
    }
}

impl TokenStore for PostgresStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let subject = subject.as_str().as_bytes();
        let rows = self.run(|| vec![sqlx::query(self.names.select("subject = $1")).bind(subject)]);
        Ok(newest_first(rows.await?.iter().map(sql_row)))
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.write(Names::save, token).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let Ok(grant) = grant_id(key) else { return Ok(false) };
        let payload = changes::payload(key.subject());
        let gone = self.run(|| {
            let query = sqlx::query(self.names.remove())
                .bind(key.subject().as_str().as_bytes())
                .bind(grant)
                .bind(version.as_i64())
                .bind(self.names.channel())
                .bind(&payload);
            vec![query]
        });
        Ok(!gone.await?.is_empty())
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.write(Names::update, token).await
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
            let rows = self.run(|| {
                let query = sqlx::query(self.names.select(PAGE));
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
        let rows = self.run(|| {
            let query = sqlx::query(self.names.purge())
                .bind(before)
                .bind(self.names.channel())
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
            connections: &self.connections,
            elsewhere: self.listen_options.as_ref(),
            channel: self.names.channel(),
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
        f.debug_struct("PostgresStore").field("table", &self.names).finish_non_exhaustive()
    }
}

//! The tables, and the way there from any older version.

use sqlx::sqlite::SqlitePool;
use sqlx::{Executor, Row};

use super::{StoreError, unavailable};

/// Each entry leads from its index to the next version. Entries are never changed once released.
///
/// Subjects are bytes: compared exactly, and NUL is one of them.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE webflow_tokens (
        id INTEGER PRIMARY KEY,
        subject BLOB NOT NULL,
        grant_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        obtained_at INTEGER NOT NULL,
        sites TEXT NOT NULL,
        workspaces TEXT NOT NULL,
        UNIQUE (subject, grant_id)
    ) STRICT;
    CREATE INDEX webflow_tokens_obtained_at ON webflow_tokens (obtained_at);
    CREATE TABLE webflow_token_coverage (
        token_id INTEGER NOT NULL REFERENCES webflow_tokens (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        covered TEXT NOT NULL,
        PRIMARY KEY (token_id, kind, covered)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX webflow_token_coverage_covered ON webflow_token_coverage (kind, covered);
"];

/// Brings the database to this version. The write lock is taken first, so of several processes
/// that start at once one migrates and the others find it done.
pub(super) async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    transaction
        .execute("CREATE TABLE IF NOT EXISTS webflow_schema (version INTEGER NOT NULL) STRICT")
        .await
        .map_err(unavailable)?;
    let row = sqlx::query("SELECT max(version) FROM webflow_schema")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let found = row.try_get::<Option<i64>, _>(0).map_err(unavailable)?.unwrap_or(0);
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (version, migration) in (1_i64..).zip(MIGRATIONS).skip(done) {
        transaction.execute(migration).await.map_err(unavailable)?;
        sqlx::query("INSERT INTO webflow_schema (version) VALUES (?1)")
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
    }
    transaction.commit().await.map_err(unavailable)
}

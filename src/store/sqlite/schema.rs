//! Tables and migrations.

use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

use super::StoreError;
use super::file::WatchedFile;

/// Each entry migrates from its index to the next version. Released entries never change.
///
/// Subjects are blobs, compared exactly; they may contain NUL.
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

/// Migrates the database inside a transaction that holds the write lock: if several processes start
/// at once, one migrates while the others wait.
pub async fn migrate(
    connection: &mut SqliteConnection,
    file: &WatchedFile,
) -> Result<(), StoreError> {
    let explain = |error| file.explain(error);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    connection
        .execute("CREATE TABLE IF NOT EXISTS webflow_schema (version INTEGER NOT NULL) STRICT")
        .await
        .map_err(explain)?;
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM webflow_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
    let found = found.unwrap_or(0);
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (version, migration) in (1_i64..).zip(MIGRATIONS).skip(done) {
        connection.execute(migration).await.map_err(explain)?;
        sqlx::query("INSERT INTO webflow_schema (version) VALUES (?1)")
            .bind(version)
            .execute(&mut *connection)
            .await
            .map_err(explain)?;
    }
    Ok(())
}

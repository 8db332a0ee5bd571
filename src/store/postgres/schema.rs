//! Tables and migrations.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Error, Executor, Row};

use super::names::Names;

/// Number of migrations. Each leads from its index to the next version.
pub const KNOWN: i64 = 1;

/// Advisory lock for migrations, awaited for as long as another instance migrates. The number is
/// arbitrary, but all instances must use the same.
const LOCK: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(6288505324388177697)";

/// The indexes have no list of pending entries (`fastupdate`): each look-up would read the whole list,
/// and the save that finds it full would wait for all of it to be sorted in.
fn migration(version: i64, names: &Names) -> String {
    let table = names.table();
    match version {
        1 => format!(
            "CREATE TABLE {names} (
                subject bytea NOT NULL,
                grant_id text NOT NULL,
                version bigint NOT NULL,
                sealed bytea NOT NULL,
                obtained_at bigint NOT NULL,
                sites text[] NOT NULL,
                workspaces text[] NOT NULL,
                PRIMARY KEY (subject, grant_id)
            );
            CREATE INDEX {table}_obtained_at ON {names} (obtained_at);
            CREATE INDEX {table}_sites ON {names} USING gin (sites) WITH (fastupdate = off);
            CREATE INDEX {table}_workspaces ON {names} USING gin (workspaces)
                WITH (fastupdate = off);"
        ),
        _ => String::new(),
    }
}

/// Migrates the database and returns its version. If several instances start at once, one migrates
/// while the others wait.
///
/// Existing objects are not created again, not even with `IF NOT EXISTS`, which requires the
/// privilege to create them. Only simple statements are used, which every pooler passes on.
pub async fn migrate(connection: &mut PgConnection, names: &Names) -> Result<i64, Error> {
    let mut transaction = connection.begin().await?;
    let found = version(&mut transaction, names).await?;
    if found.is_some_and(|version| version >= KNOWN) {
        transaction.commit().await?;
        return Ok(found.unwrap_or(KNOWN));
    }
    transaction.execute(LOCK).await?;
    let mut found = version(&mut transaction, names).await?;
    if found.is_none() {
        let (schema, versions) = (names.schema(), names.versions());
        if !exists(&mut transaction, names.find_schema()).await? {
            execute(&mut transaction, format!("CREATE SCHEMA \"{schema}\"")).await?;
        }
        let create = format!("CREATE TABLE \"{schema}\".\"{versions}\" (version bigint NOT NULL)");
        execute(&mut transaction, create).await?;
        found = Some(0);
    }
    let found = found.unwrap_or_default();
    for version in found + 1..=KNOWN {
        execute(&mut transaction, migration(version, names)).await?;
        let (schema, versions) = (names.schema(), names.versions());
        let insert = format!("INSERT INTO \"{schema}\".\"{versions}\" VALUES ({version})");
        execute(&mut transaction, insert).await?;
    }
    transaction.commit().await?;
    Ok(found.max(KNOWN))
}

/// The version of the tables, or `None` if there are none.
async fn version(connection: &mut PgConnection, names: &Names) -> Result<Option<i64>, Error> {
    if !exists(connection, names.find_versions()).await? {
        return Ok(None);
    }
    let (schema, versions) = (names.schema(), names.versions());
    let query = format!("SELECT coalesce(max(version), 0) FROM \"{schema}\".\"{versions}\"");
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(query))).await?;
    row.try_get(0).map(Some)
}

async fn exists(
    connection: &mut PgConnection,
    query: AssertSqlSafe<String>,
) -> Result<bool, Error> {
    Ok(connection.fetch_optional(sqlx::raw_sql(query)).await?.is_some())
}

async fn execute(connection: &mut PgConnection, statements: String) -> Result<(), Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.map(drop)
}

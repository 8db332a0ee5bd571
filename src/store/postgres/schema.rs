//! The tables, and the way there from any older version.

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor, Postgres, Transaction};

use super::names::Names;
use super::{StoreError, unavailable};

/// How many migrations there are: each leads from its index to the next version.
const KNOWN: i64 = 1;

/// The number under which instances take turns: arbitrary, but the same for all of them.
const LOCK: i64 = 0x5745_4246_4c4f_5721;

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
            CREATE INDEX {table}_sites ON {names} USING gin (sites);
            CREATE INDEX {table}_workspaces ON {names} USING gin (workspaces);"
        ),
        _ => String::new(),
    }
}

/// Brings the database to this version; of several instances that start at once one does it, and
/// the others wait and find it done.
pub(super) async fn migrate(pool: &PgPool, names: &Names) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await.map_err(unavailable)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let versions = format!("\"{}\".\"{}_schema\"", names.schema(), names.table());
    if !exists(&mut transaction, &versions).await? {
        let schema = names.schema();
        execute(&mut transaction, format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await?;
        execute(&mut transaction, format!("CREATE TABLE {versions} (version bigint NOT NULL)"))
            .await?;
    }
    let query = format!("SELECT coalesce(max(version), 0) FROM {versions}");
    let found: i64 = sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    if found > KNOWN {
        return Err(StoreError::SchemaTooNew { found, known: KNOWN });
    }
    for version in found + 1..=KNOWN {
        execute(&mut transaction, migration(version, names)).await?;
        execute(&mut transaction, format!("INSERT INTO {versions} VALUES ({version})")).await?;
    }
    transaction.commit().await.map_err(unavailable)
}

/// Asked first, so that an application whose role may not create anything can still start.
async fn exists(
    transaction: &mut Transaction<'_, Postgres>,
    table: &str,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut **transaction)
        .await
        .map_err(unavailable)
}

async fn execute(
    transaction: &mut Transaction<'_, Postgres>,
    statements: String,
) -> Result<(), StoreError> {
    transaction.execute(AssertSqlSafe(statements)).await.map(drop).map_err(unavailable)
}

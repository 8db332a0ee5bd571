//! Finds the privileges that a role is missing.

use std::fmt;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};

use super::names::Names;

/// The statements that grant the missing privileges.
#[derive(Debug)]
pub struct MissingRights {
    grants: Vec<String>,
    refused: Error,
}

impl fmt::Display for MissingRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the role is missing rights ({}): {}", self.refused, self.grants.join("; "))
    }
}

impl std::error::Error for MissingRights {}

/// The privileges the role needs; $1 is the schema, $2 the table, $3 the version table.
const QUERY: &str = "
WITH schema AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = $1),
tables AS (
    SELECT c.oid, c.relname, CASE c.relname
        WHEN $2 THEN ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] ELSE ARRAY['SELECT'] END AS rights
    FROM pg_class c JOIN schema s ON c.relnamespace = s.oid WHERE c.relname IN ($2, $3)
)
SELECT format('GRANT %s TO %I', target, current_user) FROM (
    SELECT format('CREATE ON DATABASE %I', current_database()) AS target
    WHERE NOT EXISTS (SELECT 1 FROM schema)
        AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT format('USAGE ON SCHEMA %I', nspname) FROM schema
    WHERE NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT format('CREATE ON SCHEMA %I', nspname) FROM schema
    WHERE NOT has_schema_privilege(oid, 'CREATE') AND (SELECT count(*) FROM tables) < 2
    UNION ALL
    SELECT format('%s ON %I.%I', string_agg(\"right\", ', '), $1, relname)
    FROM tables, unnest(rights) AS \"right\"
    WHERE NOT has_table_privilege(oid, \"right\")
    GROUP BY relname
) AS missing";

/// Explains a rejected statement. Returns the error itself if no missing privilege is found.
pub async fn explain(
    options: &PgConnectOptions,
    names: &Names,
    refused: Error,
) -> Result<MissingRights, Error> {
    match missing(options, names).await {
        Ok(grants) if !grants.is_empty() => Ok(MissingRights { grants, refused }),
        Ok(_) | Err(_) => Err(refused),
    }
}

async fn missing(options: &PgConnectOptions, names: &Names) -> Result<Vec<String>, Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    // In a transaction, because there may be a pooler.
    let mut transaction = connection.begin().await?;
    let grants = sqlx::query_scalar(QUERY)
        .bind(names.schema())
        .bind(names.table())
        .bind(names.versions())
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(grants)
}

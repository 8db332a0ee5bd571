//! SQL statements, their parameters and results.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{SealedToken, SqlRow, unix_secs};
use crate::store::group::Write;

pub const LOAD: &str = "SELECT subject, grant_id, version, sealed, obtained_at, sites, workspaces \
     FROM webflow_tokens WHERE subject = ?1";

pub const BY_SITE: &str = "SELECT t.subject, t.grant_id, t.version, t.sealed, t.obtained_at, t.sites, \
     t.workspaces FROM webflow_tokens t JOIN webflow_token_coverage c ON c.token_id = t.id \
     WHERE c.kind = 's' AND c.covered = ?1";

pub const BY_WORKSPACE: &str = "SELECT t.subject, t.grant_id, t.version, t.sealed, t.obtained_at, \
     t.sites, t.workspaces FROM webflow_tokens t JOIN webflow_token_coverage c ON c.token_id = t.id \
     WHERE c.kind = 'w' AND c.covered = ?1";

pub const PAGE: &str = "SELECT subject, grant_id, version, sealed, obtained_at, sites, workspaces \
     FROM webflow_tokens WHERE (subject, grant_id) > (?1, ?2) ORDER BY subject, grant_id LIMIT ?3";

// One command of two statements: whether the coverage that is there fits, and the write.
macro_rules! and_whether_the_coverage_fits {
    ($write:literal) => {
        concat!(
            "SELECT id, sites = ?6 AND workspaces = ?7 FROM webflow_tokens \
             WHERE subject = ?1 AND grant_id = ?2; ",
            $write,
            " RETURNING id, NULL"
        )
    };
}

const SAVE: &str = and_whether_the_coverage_fits!(
    "INSERT INTO webflow_tokens \
     (subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT (subject, grant_id) DO UPDATE SET version = excluded.version, \
     sealed = excluded.sealed, obtained_at = excluded.obtained_at, sites = excluded.sites, \
     workspaces = excluded.workspaces"
);

const UPDATE: &str = and_whether_the_coverage_fits!(
    "UPDATE webflow_tokens \
     SET sealed = ?4, obtained_at = ?5, sites = ?6, workspaces = ?7 \
     WHERE subject = ?1 AND grant_id = ?2 AND version = ?3"
);

const REMOVE: &str =
    "DELETE FROM webflow_tokens WHERE subject = ?1 AND grant_id = ?2 AND version = ?3";

pub const PURGE: &str = "DELETE FROM webflow_tokens WHERE obtained_at < ?1";

/// Writes, reads and removes a row whose subject no [`Subject`] can have.
pub async fn probe(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let probe = sqlx::query(SAVE)
        .bind(b"probe".as_slice())
        .bind("probe")
        .bind(0)
        .bind(b"".as_slice())
        .bind(0)
        .bind("[]")
        .bind("[]")
        .fetch_one(&mut *connection)
        .await?;
    let id = probe.try_get::<i64, _>(0)?;
    cover(connection, id, "s", "probe").await?;
    sqlx::query(LOAD).bind(b"probe".as_slice()).fetch_one(&mut *connection).await?;
    sqlx::query("DELETE FROM webflow_tokens WHERE id = ?1").bind(id).execute(connection).await?;
    Ok(())
}

/// Makes one write. Returns false if there was no such row.
pub async fn write(connection: &mut SqliteConnection, write: &Write) -> Result<bool, sqlx::Error> {
    match write {
        Write::Save(token) => put(connection, SAVE, token).await,
        Write::Update(token) => put(connection, UPDATE, token).await,
        Write::Remove(key, version) => {
            let remove = sqlx::query(REMOVE)
                .bind(key.subject().as_str().as_bytes())
                .bind(key.grant().as_str())
                .bind(version.as_i64());
            Ok(remove.execute(connection).await?.rows_affected() > 0)
        }
    }
}

/// Writes the row with this statement, and what it covers if that has changed. Returns false if
/// there is no such row.
async fn put(
    connection: &mut SqliteConnection,
    statement: &'static str,
    token: &SealedToken,
) -> Result<bool, sqlx::Error> {
    let rows = sqlx::query(statement)
        .bind(token.key().subject().as_str().as_bytes())
        .bind(token.key().grant().as_str())
        .bind(token.version().as_i64())
        .bind(token.sealed())
        .bind(unix_secs(token.obtained_at()))
        .bind(list(token.sites()))
        .bind(list(token.workspaces()))
        .fetch_all(&mut *connection)
        .await?;
    // The row that was there, if any, and the row that was written, if any.
    let mut fits = false;
    let mut written = None;
    for row in rows {
        match row.try_get::<Option<bool>, _>(1)? {
            Some(old) => fits = old,
            None => written = Some(row.try_get::<i64, _>(0)?),
        }
    }
    let Some(id) = written else { return Ok(false) };
    if fits {
        return Ok(true);
    }
    sqlx::query("DELETE FROM webflow_token_coverage WHERE token_id = ?1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    for site in token.sites() {
        cover(connection, id, "s", site).await?;
    }
    for workspace in token.workspaces() {
        cover(connection, id, "w", workspace).await?;
    }
    Ok(true)
}

async fn cover(
    connection: &mut SqliteConnection,
    id: i64,
    kind: &'static str,
    covered: &str,
) -> Result<(), sqlx::Error> {
    let insert = "INSERT OR IGNORE INTO webflow_token_coverage (token_id, kind, covered) \
                  VALUES (?1, ?2, ?3)";
    sqlx::query(insert).bind(id).bind(kind).bind(covered).execute(connection).await.map(drop)
}

pub fn sql_row(row: &SqliteRow) -> Option<SqlRow> {
    let ids = |column| serde_json::from_str(&row.try_get::<String, _>(column).ok()?).ok();
    Some(SqlRow {
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

//! The table names, and the statements that use them.

use std::fmt;

use sqlx::AssertSqlSafe;

use super::StoreError;

/// A validated schema and table name: both are inserted into statements verbatim.
#[derive(Clone)]
pub struct Names {
    schema: String,
    table: String,
}

/// A statement built from validated names and literals; values are bound.
pub type Statement = AssertSqlSafe<String>;

/// Postgres allows 63 bytes per name; the names of indexes and the channel are longer than the
/// table's.
const MAX_LEN: usize = 30;

impl Names {
    pub fn new(schema: &str, table: &str) -> Result<Self, StoreError> {
        for name in [schema, table] {
            let plain =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            if !plain || name.len() > MAX_LEN {
                return Err(StoreError::unavailable(format!(
                    "{name:?} cannot be the name of a schema or table here: use up to {MAX_LEN} \
                     lower-case letters, digits and _, not beginning with a digit"
                )));
            }
        }
        Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// The table that stores the schema version.
    pub fn versions(&self) -> String {
        format!("{}_schema", self.table)
    }

    /// Returns a row if the schema exists.
    pub fn find_schema(&self) -> Statement {
        AssertSqlSafe(format!("SELECT 1 FROM pg_namespace WHERE nspname = '{}'", self.schema))
    }

    /// Returns a row if the version table exists.
    pub fn find_versions(&self) -> Statement {
        AssertSqlSafe(format!(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = '{}' AND c.relname = '{}'",
            self.schema,
            self.versions()
        ))
    }

    /// The channel on which changes are announced.
    pub fn channel(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    pub fn select(&self, condition: &'static str) -> Statement {
        AssertSqlSafe(format!(
            "SELECT subject, grant_id, version, sealed, obtained_at, sites, workspaces \
             FROM {self} WHERE {condition}"
        ))
    }

    /// Takes the channel, arrays of subjects, grants, versions and payloads, and an array of each
    /// other column. One statement, so that the rows and their announcements are one transaction.
    ///
    /// The rows of an array have the same length, so ids are passed as the text of an array.
    pub fn save(&self) -> Statement {
        AssertSqlSafe(format!(
            "WITH saved AS (INSERT INTO {self} \
             (subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
             SELECT subject, grant_id, version, sealed, obtained_at, sites::text[], workspaces::text[] \
             FROM unnest($2::bytea[], $3::text[], $4::bigint[], $6::bytea[], $7::bigint[], $8::text[], \
             $9::text[]) new (subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
             ON CONFLICT (subject, grant_id) DO UPDATE SET version = excluded.version, \
             sealed = excluded.sealed, obtained_at = excluded.obtained_at, \
             sites = excluded.sites, workspaces = excluded.workspaces) \
             SELECT pg_notify($1, payload) FROM unnest($5::text[]) told (payload)"
        ))
    }

    /// Takes the same values as [`save`](Self::save). Returns the subject and grant of each row that
    /// was there.
    pub fn update(&self) -> Statement {
        AssertSqlSafe(format!(
            "WITH saved AS (UPDATE {self} old SET sealed = new.sealed, obtained_at = new.obtained_at, \
             sites = new.sites::text[], workspaces = new.workspaces::text[] \
             FROM unnest($2::bytea[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bigint[], \
             $8::text[], $9::text[]) \
             new (subject, grant_id, version, payload, sealed, obtained_at, sites, workspaces) \
             WHERE old.subject = new.subject AND old.grant_id = new.grant_id \
             AND old.version = new.version RETURNING new.subject, new.grant_id, new.payload) \
             SELECT subject, grant_id, pg_notify($1, payload) FROM saved"
        ))
    }

    /// Takes the first five values of [`save`](Self::save), and returns what
    /// [`update`](Self::update) does.
    pub fn remove(&self) -> Statement {
        AssertSqlSafe(format!(
            "WITH gone AS (DELETE FROM {self} old \
             USING unnest($2::bytea[], $3::text[], $4::bigint[], $5::text[]) \
             seen (subject, grant_id, version, payload) \
             WHERE old.subject = seen.subject AND old.grant_id = seen.grant_id \
             AND old.version = seen.version RETURNING seen.subject, seen.grant_id, seen.payload) \
             SELECT subject, grant_id, pg_notify($1, payload) FROM gone"
        ))
    }

    pub fn purge(&self) -> Statement {
        AssertSqlSafe(format!(
            "WITH gone AS (DELETE FROM {self} WHERE obtained_at < $1 RETURNING 1), \
             told AS (SELECT pg_notify($2, $3) WHERE EXISTS (SELECT 1 FROM gone)) \
             SELECT (SELECT count(*) FROM gone) + 0 * (SELECT count(*) FROM told)"
        ))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\".\"{}\"", self.schema, self.table)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_stand_in_a_statement() {
        assert!(Names::new("public", "webflow_tokens").is_ok());
        for bad in ["", "a b", "a\"b", "A", "1a", "a;drop table x", &"a".repeat(31)] {
            assert!(Names::new("public", bad).is_err(), "{bad}");
            assert!(Names::new(bad, "t").is_err(), "{bad}");
        }
    }
}

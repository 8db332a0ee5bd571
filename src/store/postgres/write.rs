//! Grouped loads and writes.
//!
//! A transaction that has announced something keeps all others that do from committing until its
//! commit is synced. Single writes would wait for one sync after another, so those that wait become
//! one statement.

use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{Row, query};

use super::connections::BoundQuery;
use super::database::Database;
use super::fault::separation;
use super::ids::array;
use super::names::{Names, Statement};
use super::{changes, newest_first, sql_row, unavailable, unix_secs};
use crate::store::group::{Change, Engine, Load, Outcomes, Separation, Write};
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};

/// Rows, column by column.
#[derive(Default)]
pub struct Rows<'a> {
    subjects: Vec<&'a [u8]>,
    grants: Vec<&'a str>,
    versions: Vec<i64>,
    payloads: Vec<String>,
    sealed: Vec<&'a [u8]>,
    obtained_at: Vec<i64>,
    sites: Vec<String>,
    workspaces: Vec<String>,
}

impl<'a> Rows<'a> {
    /// The row of a health check, which changes nothing.
    pub fn probe(subject: &'a [u8], grant: &'a str, now: i64) -> Self {
        Self {
            subjects: vec![subject],
            grants: vec![grant],
            versions: vec![1],
            payloads: vec![changes::PROBE.to_owned()],
            sealed: vec![subject],
            obtained_at: vec![now],
            sites: vec![array(&[])],
            workspaces: vec![array(&[])],
        }
    }

    /// The rows of several writes, whose grant ids Postgres can store.
    fn of(writes: &'a [Write]) -> Self {
        let mut writes: Vec<_> = writes.iter().collect();
        // Instances that lock rows in the same order do not deadlock.
        writes.sort_unstable_by_key(|write| write.row_key());
        let mut rows = Self::default();
        for write in writes {
            match write {
                Write::Save(token) | Write::Update(token) => {
                    rows.push(token.key(), token.version());
                    rows.push_values(token);
                }
                Write::Remove(key, version) => rows.push(key, *version),
            }
        }
        rows
    }

    fn push(&mut self, key: &'a TokenKey, version: TokenVersion) {
        self.subjects.push(key.subject().as_str().as_bytes());
        self.grants.push(key.grant().as_str());
        self.versions.push(version.as_i64());
        self.payloads.push(changes::payload(key.subject()));
    }

    fn push_values(&mut self, token: &'a SealedToken) {
        self.sealed.push(token.sealed());
        self.obtained_at.push(unix_secs(token.obtained_at()));
        self.sites.push(array(token.sites()));
        self.workspaces.push(array(token.workspaces()));
    }

    pub fn save<'q>(&'q self, names: &Names) -> BoundQuery<'q> {
        self.with_values(names, names.save())
    }

    fn update<'q>(&'q self, names: &Names) -> BoundQuery<'q> {
        self.with_values(names, names.update())
    }

    pub fn remove<'q>(&'q self, names: &Names) -> BoundQuery<'q> {
        self.with_keys(names, names.remove())
    }

    fn with_keys<'q>(&'q self, names: &Names, statement: Statement) -> BoundQuery<'q> {
        query(statement)
            .bind(names.channel())
            .bind(&self.subjects)
            .bind(&self.grants)
            .bind(&self.versions)
            .bind(&self.payloads)
    }

    fn with_values<'q>(&'q self, names: &Names, statement: Statement) -> BoundQuery<'q> {
        self.with_keys(names, statement)
            .bind(&self.sealed)
            .bind(&self.obtained_at)
            .bind(&self.sites)
            .bind(&self.workspaces)
    }
}

impl Engine<Load> for Database {
    async fn run(&self, loads: &[Load]) -> Result<Outcomes<Vec<SealedToken>>, StoreError> {
        let subjects: Vec<_> = loads.iter().map(|load| load.0.as_str().as_bytes()).collect();
        let rows = self.execute(|| {
            // Separate statements, because each has its own plan.
            let load = match subjects.as_slice() {
                [subject] => query(self.names.select("subject = $1")).bind(*subject),
                subjects => query(self.names.select("subject = ANY($1)")).bind(subjects),
            };
            vec![load]
        });
        Ok(Load::share(loads, newest_first(rows.await?.iter().map(sql_row))))
    }

    fn after(error: &StoreError) -> Separation {
        separation(error)
    }
}

impl Engine<Write> for Database {
    /// Less than a TLS record. sqlx leaves Nagle's algorithm on, which holds back a second record until
    /// the server acknowledges the first, up to 40 ms later.
    const LARGEST_BYTES: usize = 15 * 1024;

    async fn run(&self, writes: &[Write]) -> Result<Outcomes<bool>, StoreError> {
        let (rows, names) = (Rows::of(writes), &self.names);
        let change = writes.first().map(Write::change);
        let ran = self.run(|| match change {
            None => Vec::new(),
            Some(Change::Save) => vec![rows.save(names)],
            Some(Change::Update) => vec![rows.update(names)],
            Some(Change::Remove) => vec![rows.remove(names)],
        });
        let ran = ran.await?;
        if change == Some(Change::Save) {
            return Ok(writes.iter().map(|_| Ok(true)).collect());
        }
        let found: HashSet<_> =
            ran.rows.iter().map(key).collect::<Result<_, _>>().map_err(unavailable)?;
        // A row that is missing on a retry was removed by the first attempt.
        let is_repeated = ran.repeated && change == Some(Change::Remove);
        let was_found = |write: &Write| {
            let key = write.row_key();
            is_repeated
                || found.contains(&(key.subject().as_str().as_bytes(), key.grant().as_str()))
        };
        Ok(writes.iter().map(|write| Ok(was_found(write))).collect())
    }

    fn after(error: &StoreError) -> Separation {
        separation(error)
    }

    /// Each change is a statement of its own.
    fn fit(first: &Write, other: &Write) -> bool {
        first.change() == other.change()
    }
}

/// The subject and grant of a row that was written.
fn key(row: &PgRow) -> Result<(&[u8], &str), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

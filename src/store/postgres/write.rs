//! Loading and saving several rows at once.
//!
//! A transaction that has announced something keeps all others that do from committing. Each alone
//! would wait for the sync of the one before, so saves that wait become one transaction.

use std::sync::Arc;

use sqlx::query;

use super::changes;
use super::connections::BoundQuery;
use super::fault::is_of_one_row;
use super::ids::{array, grant_id, indexed};
use super::names::Names;
use super::{PostgresStore, SealedToken, StoreError, newest_first, sql_row, unix_secs};
use crate::store::group::{Load, Together, Write};

/// Rows, column by column.
#[derive(Default)]
pub struct Rows<'a> {
    subjects: Vec<&'a [u8]>,
    grants: Vec<&'a str>,
    versions: Vec<i64>,
    sealed: Vec<&'a [u8]>,
    obtained_at: Vec<i64>,
    sites: Vec<String>,
    workspaces: Vec<String>,
    payloads: Vec<String>,
}

impl<'a> Rows<'a> {
    /// A row of a health check, which changes nothing.
    pub fn probe(subject: &'a [u8], grant: &'a str, now: i64) -> Self {
        Self {
            subjects: vec![subject],
            grants: vec![grant],
            versions: vec![1],
            sealed: vec![subject],
            obtained_at: vec![now],
            sites: vec![array(&[])],
            workspaces: vec![array(&[])],
            payloads: vec![changes::PROBE.to_owned()],
        }
    }

    fn push(&mut self, token: &'a SealedToken) -> Result<(), StoreError> {
        let subject = token.key().subject();
        self.grants.push(grant_id(token.key())?);
        self.subjects.push(subject.as_str().as_bytes());
        self.versions.push(token.version().as_i64());
        self.sealed.push(token.sealed());
        self.obtained_at.push(unix_secs(token.obtained_at()));
        self.sites.push(array(token.sites()));
        self.workspaces.push(array(token.workspaces()));
        self.payloads.push(changes::payload(subject));
        Ok(())
    }

    pub fn save<'q>(&'q self, names: &Names) -> BoundQuery<'q> {
        query(names.save())
            .bind(&self.subjects)
            .bind(&self.grants)
            .bind(&self.versions)
            .bind(&self.sealed)
            .bind(&self.obtained_at)
            .bind(&self.sites)
            .bind(&self.workspaces)
            .bind(names.channel())
            .bind(&self.payloads)
    }
}

impl Together<Load> for PostgresStore {
    async fn together(&self, loads: &[Arc<Load>]) -> Result<Vec<Vec<SealedToken>>, StoreError> {
        let subjects: Vec<_> = loads.iter().map(|load| load.0.as_str().as_bytes()).collect();
        let rows = self.run(|| {
            // Each with a plan of its own.
            let load = match subjects.as_slice() {
                [subject] => query(self.names.select("subject = $1")).bind(*subject),
                subjects => query(self.names.select("subject = ANY($1)")).bind(subjects),
            };
            vec![load]
        });
        Ok(Load::share(loads, newest_first(rows.await?.iter().map(sql_row))))
    }
}

impl Together<Write> for PostgresStore {
    /// Saves only.
    async fn together(&self, writes: &[Arc<Write>]) -> Result<Vec<bool>, StoreError> {
        let mut tokens: Vec<_> = writes.iter().map(|write| &write.token).collect();
        // Instances that lock rows in the same order cannot lock each other out.
        tokens.sort_unstable_by_key(|token| token.key());
        let mut rows = Rows::default();
        tokens.into_iter().try_for_each(|token| rows.push(token))?;
        self.run(|| vec![rows.save(&self.names)]).await?;
        Ok(vec![true; writes.len()])
    }

    fn may_be_of_one(error: &StoreError) -> bool {
        is_of_one_row(error)
    }
}

impl PostgresStore {
    pub(super) async fn update_row(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let grant = grant_id(token.key())?;
        let subject = token.key().subject();
        let (sites, workspaces) = (indexed(token.sites()), indexed(token.workspaces()));
        let payload = changes::payload(subject);
        let updated = self.run(|| {
            let query = query(self.names.update())
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
        Ok(!updated.await?.is_empty())
    }
}

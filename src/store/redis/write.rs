//! Writes grants together with their index entries.
//!
//! On a single server this is one script, also for several grants: Redis syncs what one script writes
//! with one `fsync`. A cluster may place rows and entries on different nodes: the row is
//! written first, with an empty coverage, then the entries, and then the coverage. The next write
//! indexes a row with an empty coverage again, so an interrupted write never leaves a grant that
//! stays unfindable. Stamps are never reused: an entry whose stamp differs from its row's is stale
//! for good and can be removed at any time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use redis::{Cmd, RedisError, RedisResult, ServerErrorKind};

use super::failure::{Failure, unavailable};
use super::link::Effort;
use super::row::{Row, coverage, document, unix_secs};
use super::{RedisStore, changes, keys, scripts};
use crate::store::group::{Together, Write};
use crate::store::{SealedToken, StoreError};
use crate::util::log;

/// A grant as the script takes it.
struct Grant<'a> {
    token: &'a SealedToken,
    mode: &'static str,
    row: String,
    sets: Vec<String>,
    version: String,
    obtained_at: String,
    stamp: String,
    coverage: String,
    document: Vec<u8>,
    /// Without the stamp.
    member: String,
    message: String,
}

/// The reply of [`scripts::WRITE`] for one grant.
struct Written {
    done: bool,
    entries_fit: bool,
    replaced: Option<Row>,
}

impl Together<Write> for RedisStore {
    async fn together(&self, writes: &[Arc<Write>]) -> Result<Vec<bool>, StoreError> {
        let grants: Vec<_> =
            writes.iter().map(|write| self.grant(write)).collect::<Result<_, _>>()?;
        if !self.is_cluster.load(Ordering::Relaxed) {
            match self.write_with_entries(&grants).await {
                Err(error) if error.kind() == ServerErrorKind::CrossSlot.into() => {
                    self.is_cluster.store(true, Ordering::Relaxed);
                }
                written => return written.map_err(unavailable),
            }
        }
        let written = grants.iter().map(|grant| self.write_then_entries(grant));
        join_all(written).await.into_iter().collect::<RedisResult<_>>().map_err(unavailable)
    }

    fn may_be_of_one(error: &StoreError) -> bool {
        // For example another kind of value at one of the keys.
        let StoreError::Unavailable(source) = error else { return false };
        let error = source.downcast_ref::<RedisError>();
        error.is_some_and(|error| Failure::classify(error) == Failure::Other)
    }
}

impl RedisStore {
    fn grant<'a>(&self, write: &'a Write) -> Result<Grant<'a>, StoreError> {
        let token = &write.token;
        Ok(Grant {
            token,
            mode: if write.is_update { "update" } else { "save" },
            row: self.keys.subject(token.key().subject()),
            sets: self.sets(token),
            version: token.version().as_i64().to_string(),
            obtained_at: unix_secs(token.obtained_at()).to_string(),
            stamp: keys::new_stamp(),
            coverage: coverage(token),
            document: document(token)?,
            member: keys::member(token.key(), ""),
            message: changes::payload(token.key().subject()),
        })
    }

    async fn write_with_entries(&self, grants: &[Grant<'_>]) -> RedisResult<Vec<bool>> {
        let written = self.run_write(grants, None, true).await?;
        let replaced = grants.iter().zip(&written);
        join_all(replaced.map(|(grant, written)| self.remove_replaced(grant, written))).await;
        Ok(written.into_iter().map(|written| written.done).collect())
    }

    async fn write_then_entries(&self, grant: &Grant<'_>) -> RedisResult<bool> {
        let written = self.run_one(grant, grant.mode).await?;
        if !written.done || written.entries_fit {
            return Ok(written.done);
        }
        let member = format!("{}{}", grant.member, grant.stamp);
        let mut commands: Vec<_> = grant.sets.iter().map(|set| Cmd::sadd(set, &member)).collect();
        commands.push(Cmd::zadd(self.keys.ages(), &member, &grant.obtained_at));
        commands.push(Cmd::zadd(self.keys.order(), &member, 0));
        let added = commands.iter().map(|add| self.link.query::<()>(add, Effort::Persistent));
        join_all(added).await.into_iter().collect::<RedisResult<()>>()?;
        if !self.run_one(grant, "indexed").await?.done {
            // Replaced or removed in the meantime.
            self.remove_entries(grant.token, &grant.stamp).await;
        }
        self.remove_replaced(grant, &written).await;
        Ok(true)
    }

    async fn run_one(&self, grant: &Grant<'_>, mode: &str) -> RedisResult<Written> {
        let written = self.run_write(std::slice::from_ref(grant), Some(mode), false).await?;
        let none = Written { done: false, entries_fit: false, replaced: None };
        Ok(written.into_iter().next().unwrap_or(none))
    }

    async fn run_write(
        &self,
        grants: &[Grant<'_>],
        mode: Option<&str>,
        with_entries: bool,
    ) -> RedisResult<Vec<Written>> {
        let channel = self.keys.channel();
        let counts: Vec<_> = grants
            .iter()
            .map(|grant| if with_entries { grant.sets.len() } else { 0 }.to_string())
            .collect();
        let mut keys = Vec::with_capacity(2 + 4 * grants.len());
        if with_entries {
            keys.extend([self.keys.ages(), self.keys.order()]);
        }
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(2 + 10 * grants.len());
        arguments.extend([channel.as_bytes(), if with_entries { b"1" } else { b"0" }]);
        for (grant, count) in grants.iter().zip(&counts) {
            keys.push(grant.row.clone());
            if with_entries {
                keys.extend_from_slice(&grant.sets);
            }
            arguments.extend::<[&[u8]; 10]>([
                count.as_bytes(),
                grant.token.key().grant().as_str().as_bytes(),
                mode.unwrap_or(grant.mode).as_bytes(),
                grant.version.as_bytes(),
                grant.obtained_at.as_bytes(),
                grant.stamp.as_bytes(),
                grant.coverage.as_bytes(),
                &grant.document,
                grant.member.as_bytes(),
                grant.message.as_bytes(),
            ]);
        }
        let reply = self.link.run(&scripts::WRITE, &keys, &arguments, Effort::Persistent).await?;
        let (unpublished, written): (String, Vec<(bool, bool, Vec<u8>)>) = reply.value;
        self.log_unpublished(&unpublished);
        let written = written.into_iter().map(|(done, entries_fit, replaced)| Written {
            done,
            entries_fit,
            replaced: Row::decode(&replaced),
        });
        Ok(written.collect())
    }

    async fn remove_replaced(&self, grant: &Grant<'_>, written: &Written) {
        if let Some(replaced) = &written.replaced
            && replaced.stamp != grant.stamp
        {
            self.remove_entries(&replaced.token, &replaced.stamp).await;
        }
    }

    /// Removes index entries. A lookup removes any that remain when it finds them.
    pub(super) async fn remove_entries(&self, token: &SealedToken, stamp: &str) {
        let member = keys::member(token.key(), stamp);
        let mut commands: Vec<_> =
            self.sets(token).iter().map(|set| Cmd::srem(set, &member)).collect();
        commands.push(Cmd::zrem(self.keys.ages(), &member));
        commands.push(Cmd::zrem(self.keys.order(), &member));
        let removed = commands.iter().map(|remove| self.link.query::<()>(remove, Effort::Once));
        if let Some(error) = join_all(removed).await.into_iter().find_map(Result::err) {
            tracing::debug!(target: log::STORE, %error, "could not remove index entries of a replaced grant");
        }
    }

    fn sets(&self, token: &SealedToken) -> Vec<String> {
        let sites = token.sites().iter().map(|id| self.keys.site(id));
        sites.chain(token.workspaces().iter().map(|id| self.keys.workspace(id))).collect()
    }
}

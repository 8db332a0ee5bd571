//! Writes a grant together with its index entries.
//!
//! On a single server both are one script. A cluster may place them on different nodes: the row is
//! written first, with an empty coverage, then the entries, and then the coverage. The next write
//! indexes a row with an empty coverage again, so an interrupted write never leaves a grant that
//! stays unfindable. Stamps are never reused: an entry whose stamp differs from its row's is stale
//! for good and can be removed at any time.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use redis::{Cmd, RedisResult, ServerErrorKind};

use super::failure::unavailable;
use super::link::Effort;
use super::row::{Row, coverage, document, unix_secs};
use super::{RedisStore, changes, keys, scripts};
use crate::store::{SealedToken, StoreError};
use crate::util::log;

struct Write {
    row: String,
    ages: String,
    order: String,
    sets: Vec<String>,
    grant: String,
    version: String,
    obtained_at: String,
    stamp: String,
    coverage: String,
    document: Vec<u8>,
    /// Without the stamp.
    member: String,
    channel: String,
    message: String,
}

/// The reply of [`scripts::WRITE`].
struct Written {
    done: bool,
    entries_fit: bool,
    replaced: Option<Row>,
}

impl RedisStore {
    /// Writes a grant. In `update` mode, only if it has this version.
    pub(super) async fn write(
        &self,
        token: &SealedToken,
        mode: &'static str,
    ) -> Result<bool, StoreError> {
        let write = Write {
            row: self.keys.subject(token.key().subject()),
            ages: self.keys.ages(),
            order: self.keys.order(),
            sets: self.sets(token),
            grant: token.key().grant().as_str().to_owned(),
            version: token.version().as_i64().to_string(),
            obtained_at: unix_secs(token.obtained_at()).to_string(),
            stamp: keys::new_stamp(),
            coverage: coverage(token),
            document: document(token)?,
            member: keys::member(token.key(), ""),
            channel: self.keys.channel(),
            message: changes::payload(token.key().subject()),
        };
        if !self.is_cluster.load(Ordering::Relaxed) {
            match self.write_with_entries(&write, mode).await {
                Err(error) if error.kind() == ServerErrorKind::CrossSlot.into() => {
                    self.is_cluster.store(true, Ordering::Relaxed);
                }
                written => return written.map_err(unavailable),
            }
        }
        self.write_then_entries(token, &write, mode).await.map_err(unavailable)
    }

    async fn write_with_entries(&self, write: &Write, mode: &str) -> RedisResult<bool> {
        let mut keys = Vec::with_capacity(3 + write.sets.len());
        keys.extend([write.row.clone(), write.ages.clone(), write.order.clone()]);
        keys.extend(write.sets.iter().cloned());
        let written = self.run_write(write, mode, &keys).await?;
        if let Some(replaced) = written.replaced {
            self.remove_entries(&replaced.token, &replaced.stamp).await;
        }
        Ok(written.done)
    }

    async fn write_then_entries(
        &self,
        token: &SealedToken,
        write: &Write,
        mode: &str,
    ) -> RedisResult<bool> {
        let row = std::slice::from_ref(&write.row);
        let written = self.run_write(write, mode, row).await?;
        if !written.done || written.entries_fit {
            return Ok(written.done);
        }
        let member = format!("{}{}", write.member, write.stamp);
        let mut commands: Vec<_> = write.sets.iter().map(|set| Cmd::sadd(set, &member)).collect();
        commands.push(Cmd::zadd(&write.ages, &member, &write.obtained_at));
        commands.push(Cmd::zadd(&write.order, &member, 0));
        let added = commands.iter().map(|add| self.link.query::<()>(add, Effort::Persistent));
        join_all(added).await.into_iter().collect::<RedisResult<()>>()?;
        if !self.run_write(write, "indexed", row).await?.done {
            // Replaced or removed in the meantime.
            self.remove_entries(token, &write.stamp).await;
        }
        if let Some(replaced) = written.replaced {
            self.remove_entries(&replaced.token, &replaced.stamp).await;
        }
        Ok(true)
    }

    async fn run_write(&self, write: &Write, mode: &str, keys: &[String]) -> RedisResult<Written> {
        let arguments: [&[u8]; 10] = [
            write.grant.as_bytes(),
            mode.as_bytes(),
            write.version.as_bytes(),
            write.obtained_at.as_bytes(),
            write.stamp.as_bytes(),
            write.coverage.as_bytes(),
            &write.document,
            write.member.as_bytes(),
            write.channel.as_bytes(),
            write.message.as_bytes(),
        ];
        let reply = self.link.run(&scripts::WRITE, keys, &arguments, Effort::Persistent).await?;
        let (done, entries_fit, replaced, unpublished): (bool, bool, Vec<u8>, String) = reply.value;
        self.log_unpublished(&unpublished);
        Ok(Written { done, entries_fit, replaced: Row::decode(&replaced) })
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

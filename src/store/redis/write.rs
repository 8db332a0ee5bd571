//! Writes grants together with their index entries.
//!
//! On a single server this is one script, also for several grants: Redis syncs what a script writes
//! with one `fsync`. A cluster may place rows and entries on different nodes: a row is written
//! first, with an empty coverage, then the entries, and then the coverage. The next write indexes a
//! row with an empty coverage again, so an interrupted write never leaves a grant that stays
//! unfindable. Stamps are never reused: an entry whose stamp differs from its row's is stale
//! for good and can be removed at any time.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use redis::{Cmd, RedisResult, ServerErrorKind, Value};

use super::failure::unavailable;
use super::link::Effort;
use super::row::{Row, coverage, document, unix_secs};
use super::server::{Server, separation};
use super::{changes, keys, scripts, within};
use crate::store::group::{Change, Engine, Operation, Outcomes, Separation};
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};
use crate::util::log;

/// A write as the script takes it. Its caller prepares it, so that a group has little left to do.
pub struct Prepared {
    key: TokenKey,
    change: Change,
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

impl Prepared {
    const fn mode(&self) -> &'static str {
        match self.change {
            Change::Save => "save",
            Change::Update => "update",
            Change::Remove => "remove",
        }
    }
}

struct Written {
    done: bool,
    entries_fit: bool,
    replaced: Option<Row>,
    /// Empty if there is none.
    error: String,
    /// Whether an earlier attempt may have been executed.
    repeated: bool,
}

impl Written {
    /// The reply of [`scripts::WRITE`] for one write.
    fn from_reply(reply: Value, repeated: bool) -> RedisResult<Self> {
        let (done, entries_fit, replaced, error) = match reply {
            Value::Int(made) => (made == 1, made == 1, None, String::new()),
            other => {
                let (replaced, error): (Vec<u8>, String) = redis::from_redis_value(other)?;
                (error.is_empty(), false, Row::decode(&replaced), error)
            }
        };
        Ok(Self { done, entries_fit, replaced, error, repeated })
    }

    fn outcome(&self, write: &Prepared) -> Result<bool, StoreError> {
        if !self.error.is_empty() {
            return Err(StoreError::unavailable(self.error.clone()));
        }
        // A row that is missing on a retry was removed by the first attempt.
        Ok(self.done || self.repeated && write.change == Change::Remove)
    }
}

impl Operation for Prepared {
    type Key = TokenKey;
    type Done = bool;

    fn key(&self) -> Option<&TokenKey> {
        Some(&self.key)
    }

    fn bytes(&self) -> usize {
        self.document.len() + self.sets.iter().map(String::len).sum::<usize>()
    }
}

impl Engine<Prepared> for Server {
    async fn run(&self, writes: &[Prepared]) -> Result<Outcomes<bool>, StoreError> {
        within(self.write(writes)).await
    }

    fn after(error: &StoreError) -> Separation {
        separation(error)
    }
}

impl Server {
    /// A save or an update.
    pub fn put(&self, token: &SealedToken, change: Change) -> Result<Prepared, StoreError> {
        Ok(Prepared {
            sets: self.sets(token),
            obtained_at: unix_secs(token.obtained_at()).to_string(),
            stamp: keys::new_stamp(),
            coverage: coverage(token),
            document: document(token)?,
            ..self.of(token.key(), token.version(), change)
        })
    }

    pub fn removal(&self, key: &TokenKey, version: TokenVersion) -> Prepared {
        self.of(key, version, Change::Remove)
    }

    fn of(&self, key: &TokenKey, version: TokenVersion, change: Change) -> Prepared {
        Prepared {
            key: key.clone(),
            change,
            row: self.keys.subject(key.subject()),
            sets: Vec::new(),
            version: version.as_i64().to_string(),
            obtained_at: "0".to_owned(),
            stamp: String::new(),
            coverage: String::new(),
            document: Vec::new(),
            member: keys::member(key, ""),
            message: changes::payload(key.subject()),
        }
    }

    async fn write(&self, writes: &[Prepared]) -> Result<Outcomes<bool>, StoreError> {
        if !self.is_cluster() {
            match self.write_with_entries(writes).await {
                Err(error) if error.kind() == ServerErrorKind::CrossSlot.into() => {
                    self.is_cluster.store(true, Ordering::Relaxed);
                }
                written => return written.map_err(unavailable),
            }
        }
        Ok(join_all(writes.iter().map(|write| self.write_then_entries(write))).await)
    }

    async fn write_with_entries(&self, writes: &[Prepared]) -> RedisResult<Outcomes<bool>> {
        let written = self.run_write(writes, None, true).await?;
        let pairs = || writes.iter().zip(&written);
        join_all(pairs().map(|(write, written)| self.remove_replaced(write, written))).await;
        Ok(pairs().map(|(write, written)| written.outcome(write)).collect())
    }

    async fn write_then_entries(&self, write: &Prepared) -> Result<bool, StoreError> {
        let written = self.run_one(write, write.mode()).await?;
        let outcome = written.outcome(write)?;
        if written.done && !written.entries_fit && write.change != Change::Remove {
            self.add_entries(write).await?;
        }
        self.remove_replaced(write, &written).await;
        Ok(outcome)
    }

    async fn add_entries(&self, write: &Prepared) -> Result<(), StoreError> {
        let member = format!("{}{}", write.member, write.stamp);
        let mut commands: Vec<_> = write.sets.iter().map(|set| Cmd::sadd(set, &member)).collect();
        commands.push(Cmd::zadd(self.keys.ages(), &member, &write.obtained_at));
        commands.push(Cmd::zadd(self.keys.order(), &member, 0));
        let added = commands.iter().map(|add| self.link.query::<()>(add, Effort::Persistent));
        join_all(added).await.into_iter().collect::<RedisResult<()>>().map_err(unavailable)?;
        if !self.run_one(write, "indexed").await?.outcome(write)? {
            // Replaced or removed in the meantime.
            self.remove_members(&write.sets, &member).await;
        }
        Ok(())
    }

    async fn run_one(&self, write: &Prepared, mode: &str) -> Result<Written, StoreError> {
        let written = self.run_write(std::slice::from_ref(write), Some(mode), false).await;
        let written = written.map_err(unavailable)?.pop();
        written.ok_or(StoreError::Corrupt("a reply without a result"))
    }

    async fn run_write(
        &self,
        writes: &[Prepared],
        mode: Option<&str>,
        with_entries: bool,
    ) -> RedisResult<Vec<Written>> {
        let channel = self.keys.channel();
        let counts: Vec<_> = writes
            .iter()
            .map(|write| if with_entries { write.sets.len() } else { 0 }.to_string())
            .collect();
        let mut keys = Vec::with_capacity(2 + 4 * writes.len());
        if with_entries {
            keys.extend([self.keys.ages(), self.keys.order()]);
        }
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(2 + 10 * writes.len());
        arguments.extend([channel.as_bytes(), if with_entries { b"1" } else { b"0" }]);
        for (write, count) in writes.iter().zip(&counts) {
            keys.push(write.row.clone());
            if with_entries {
                keys.extend_from_slice(&write.sets);
            }
            arguments.extend::<[&[u8]; 10]>([
                count.as_bytes(),
                write.key.grant().as_str().as_bytes(),
                mode.unwrap_or(write.mode()).as_bytes(),
                write.version.as_bytes(),
                write.obtained_at.as_bytes(),
                write.stamp.as_bytes(),
                write.coverage.as_bytes(),
                &write.document,
                write.member.as_bytes(),
                write.message.as_bytes(),
            ]);
        }
        let reply = self.link.run(&scripts::WRITE, &keys, &arguments, Effort::Persistent).await?;
        let repeated = reply.repeated;
        let (unpublished, replies): (String, Vec<Value>) = reply.value;
        self.log_unpublished(&unpublished);
        replies.into_iter().map(|reply| Written::from_reply(reply, repeated)).collect()
    }

    async fn remove_replaced(&self, write: &Prepared, written: &Written) {
        if let Some(replaced) = &written.replaced
            && replaced.stamp != write.stamp
        {
            let member = keys::member(replaced.token.key(), &replaced.stamp);
            self.remove_members(&self.sets(&replaced.token), &member).await;
        }
    }

    /// Removes index entries. A lookup removes any that remain when it finds them.
    async fn remove_members(&self, sets: &[String], member: &str) {
        let mut commands: Vec<_> = sets.iter().map(|set| Cmd::srem(set, member)).collect();
        commands.push(Cmd::zrem(self.keys.ages(), member));
        commands.push(Cmd::zrem(self.keys.order(), member));
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

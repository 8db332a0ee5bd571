//! Grants by site, by workspace and by age.
//!
//! Redis has no transaction over keys of several cluster slots, so an index may lead to a grant
//! that is gone. Its score is the version for which it was made: an entry that leads nowhere is
//! cleared away only while it has that score, and never takes a newer grant's entry along.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Script};

use super::keys::{member, parse_member};
use super::{RedisStore, SealedToken, StoreError, unavailable};
use crate::store::{GrantId, TokenKey, TokenStore};

/// Makes an entry, or raises its score: an update that comes too late must not make a newer
/// grant's entry look like its own. (`ZADD GT` would do, from Redis 6.2 on.)
const INDEX: &str = "local score = redis.call('ZSCORE', KEYS[1], ARGV[1]) \
     if not score or tonumber(score) < tonumber(ARGV[2]) then \
     redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end";

/// Takes an entry away if its score is no higher than the one seen.
const UNINDEX: &str = "local score = redis.call('ZSCORE', KEYS[1], ARGV[1]) \
     if score and tonumber(score) <= tonumber(ARGV[2]) then \
     redis.call('ZREM', KEYS[1], ARGV[1]) end";

impl RedisStore {
    pub(super) async fn index(
        &self,
        connection: &mut ConnectionManager,
        token: &SealedToken,
    ) -> Result<(), StoreError> {
        let member = member(token.key());
        for key in self.indexes(token) {
            index(connection, &key, &member, token.version().as_i64()).await?;
        }
        let obtained_at = unix_secs(token.obtained_at());
        connection.zadd(self.keys.ages(), &member, obtained_at).await.map_err(unavailable)
    }

    pub(super) async fn unindex(
        &self,
        connection: &mut ConnectionManager,
        token: &SealedToken,
    ) -> Result<(), StoreError> {
        let member = member(token.key());
        for key in self.indexes(token) {
            clear(connection, &key, &member, token.version().as_i64()).await?;
        }
        let obtained_at = unix_secs(token.obtained_at());
        clear(connection, &self.keys.ages(), &member, obtained_at).await
    }

    fn indexes(&self, token: &SealedToken) -> Vec<String> {
        let sites = token.sites().iter().map(|id| self.keys.site(id));
        sites.chain(token.workspaces().iter().map(|id| self.keys.workspace(id))).collect()
    }

    /// The grants that an index leads to and that are covered indeed, newest first.
    pub(super) async fn covering(
        &self,
        index: &str,
        covers: impl Fn(&SealedToken) -> bool,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let mut connection = self.connection.clone();
        let entries: Vec<(String, f64)> =
            connection.zrange_withscores(index, 0, -1).await.map_err(unavailable)?;
        let mut found = Vec::new();
        for (entry, score) in entries {
            let Some((subject, grant)) = parse_member(&entry) else { continue };
            let grants = self.grants(&subject).await?;
            let token = grants.into_iter().find(|token| token.key().grant().as_str() == grant);
            match token.filter(&covers) {
                Some(token) => found.push(token),
                None => clear(&mut connection, index, &entry, exact(score)).await?,
            }
        }
        found.sort_by_key(|token| Reverse(token.version()));
        Ok(found)
    }

    pub(super) async fn purge(&self, age: Duration) -> Result<u64, StoreError> {
        let cutoff = SystemTime::now().checked_sub(age).map_or(0, unix_secs);
        let mut connection = self.connection.clone();
        let old: Vec<(String, f64)> = connection
            .zrangebyscore_withscores(self.keys.ages(), "-inf", format!("({cutoff}"))
            .await
            .map_err(unavailable)?;
        let mut purged = 0;
        for (entry, score) in old {
            let Some((subject, grant)) = parse_member(&entry) else { continue };
            let grants = self.grants(&subject).await?;
            let token = grants.iter().find(|token| token.key().grant().as_str() == grant);
            match token.filter(|token| unix_secs(token.obtained_at()) < cutoff) {
                Some(token) => {
                    let key = TokenKey::new(subject.clone(), GrantId::new(grant));
                    purged += u64::from(self.remove(&key, token.version()).await?);
                }
                None => clear(&mut connection, &self.keys.ages(), &entry, exact(score)).await?,
            }
        }
        Ok(purged)
    }
}

async fn index(
    connection: &mut ConnectionManager,
    index: &str,
    entry: &str,
    score: i64,
) -> Result<(), StoreError> {
    Script::new(INDEX)
        .key(index)
        .arg(entry)
        .arg(score)
        .invoke_async::<()>(connection)
        .await
        .map_err(unavailable)
}

async fn clear(
    connection: &mut ConnectionManager,
    index: &str,
    entry: &str,
    score: i64,
) -> Result<(), StoreError> {
    Script::new(UNINDEX)
        .key(index)
        .arg(entry)
        .arg(score)
        .invoke_async::<()>(connection)
        .await
        .map_err(unavailable)
}

/// Scores are doubles: a version loses its last bits there, which only chance fills.
#[expect(clippy::cast_possible_truncation, reason = "scores were made of i64")]
const fn exact(score: f64) -> i64 {
    score as i64
}

fn unix_secs(at: SystemTime) -> i64 {
    let secs = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(secs).unwrap_or(i64::MAX)
}

//! Finds grants by site, workspace and age.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use redis::{Cmd, RedisResult, cmd};

use super::failure::unavailable;
use super::keys::{member, parse_member};
use super::link::Effort;
use super::row::{Row, unix_secs};
use super::server::Server;
use super::{RedisStore, SealedToken, StoreError};
use crate::store::{TokenKey, TokenStore};
use crate::util::log;

/// How many grants are read concurrently.
const CHUNK: usize = 256;

impl Server {
    /// Loads the grants that the entries of a set refer to, newest first. Dangling entries are
    /// removed.
    pub async fn covering(&self, set: &str) -> Result<Vec<SealedToken>, StoreError> {
        let members: Vec<String> =
            self.link.query(&Cmd::smembers(set), Effort::Once).await.map_err(unavailable)?;
        let mut found = Vec::new();
        let mut stale = Vec::new();
        for members in members.chunks(CHUNK) {
            for (member, token) in members.iter().zip(self.rows(members).await?) {
                match token {
                    Some(token) => found.push(token),
                    None => stale.push(member),
                }
            }
        }
        if !stale.is_empty() {
            self.tidy(&Cmd::srem(set, &stale)).await;
        }
        found.sort_by_key(|token| Reverse(token.version()));
        Ok(found)
    }

    /// The rows behind `after` in the order of their keys, `limit` at most.
    pub async fn ordered(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let order = self.keys.order();
        // Nothing in a member is as great as this byte.
        let behind = |member: &str| [b"(", member.as_bytes(), b"\xff"].concat();
        let mut from = after.map_or_else(|| b"-".to_vec(), |key| behind(&member(key, "")));
        let mut found = Vec::new();
        while found.len() < limit {
            let mut next = cmd("ZRANGEBYLEX");
            next.arg(&order).arg(&from).arg("+");
            next.arg("LIMIT").arg(0).arg((limit - found.len()).min(CHUNK));
            let members: Vec<String> =
                self.link.query(&next, Effort::Once).await.map_err(unavailable)?;
            let Some(last) = members.last() else { break };
            from = behind(last);
            let mut stale = Vec::new();
            for (member, token) in members.iter().zip(self.rows(&members).await?) {
                match token {
                    Some(token) => found.push(token),
                    None => stale.push(member),
                }
            }
            if !stale.is_empty() {
                self.tidy(&Cmd::zrem(&order, &stale)).await;
            }
        }
        Ok(found)
    }

    /// The grant of each entry, or `None` if it is gone or has other entries by now.
    async fn rows(&self, members: &[String]) -> Result<Vec<Option<SealedToken>>, StoreError> {
        let rows = members.iter().map(|member| self.row(member));
        join_all(rows).await.into_iter().collect::<RedisResult<_>>().map_err(unavailable)
    }

    async fn row(&self, member: &str) -> RedisResult<Option<SealedToken>> {
        let Some((key, stamp)) = parse_member(member) else { return Ok(None) };
        let get = Cmd::hget(self.keys.subject(key.subject()), key.grant().as_str());
        let value: Option<Vec<u8>> = self.link.query(&get, Effort::Once).await?;
        let row = value.as_deref().and_then(Row::decode);
        Ok(row.filter(|row| row.stamp == stamp && *row.token.key() == key).map(|row| row.token))
    }

    async fn tidy(&self, command: &Cmd) {
        if let Err(error) = self.link.query::<()>(command, Effort::Once).await {
            tracing::debug!(target: log::STORE, %error, "could not remove stale index entries");
        }
    }
}

impl RedisStore {
    pub(super) async fn purge(&self, age: Duration) -> Result<u64, StoreError> {
        let server = &self.server;
        let ages = server.keys.ages();
        let cutoff = SystemTime::now().checked_sub(age).map_or(0, unix_secs);
        let mut old = cmd("ZRANGEBYSCORE");
        old.arg(&ages).arg("-inf").arg(format!("({cutoff}"));
        let members: Vec<String> =
            server.link.query(&old, Effort::Once).await.map_err(unavailable)?;
        let mut purged = 0;
        for members in members.chunks(CHUNK) {
            for (member, token) in members.iter().zip(server.rows(members).await?) {
                match token {
                    None => server.tidy(&Cmd::zrem(&ages, member)).await,
                    Some(token) if unix_secs(token.obtained_at()) < cutoff => {
                        purged += u64::from(self.remove(token.key(), token.version()).await?);
                    }
                    // Renewed since the entry was written.
                    Some(token) => {
                        let obtained_at = unix_secs(token.obtained_at());
                        let mut raise = cmd("ZADD");
                        raise.arg(&ages).arg("XX").arg(obtained_at).arg(member);
                        server.tidy(&raise).await;
                    }
                }
            }
        }
        Ok(purged)
    }
}

//! Checks the server and the user's permissions.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use redis::{Client, RedisResult, ServerErrorKind};

use super::failure::unavailable;
use super::link::Effort;
use super::server::Server;
use super::{StoreError, changes, scripts};
use crate::util::log;

/// How many random slots of a cluster are probed, so that most nodes are covered.
const PROBED_SLOTS: usize = 8;

/// What the user is not allowed to do, in the server's words; empty if nothing is missing.
#[derive(Default)]
struct Missing {
    rights: String,
    publishing: String,
}

impl Server {
    /// Does what a login does: writes, reads and removes a row and its index entries.
    pub async fn check(&self) -> Result<(), StoreError> {
        let missing = self.missing().await.map_err(unavailable)?;
        self.log_unpublished(&missing.publishing);
        if missing.rights.is_empty() {
            return Ok(());
        }
        let rights = missing.rights;
        Err(StoreError::unavailable(format!("the Redis user is not allowed to run {rights}")))
    }

    async fn missing(&self) -> RedisResult<Missing> {
        if !self.is_cluster.load(Ordering::Relaxed) {
            match self.probe(false).await {
                Err(error) if error.kind() == ServerErrorKind::CrossSlot.into() => {
                    self.is_cluster.store(true, Ordering::Relaxed);
                }
                missing => return missing,
            }
        }
        let probes = join_all((0..PROBED_SLOTS).map(|_| self.probe(true))).await;
        let missing = probes.into_iter().collect::<RedisResult<Vec<_>>>()?;
        Ok(missing.into_iter().max_by_key(|it| it.rights.len()).unwrap_or_default())
    }

    async fn probe(&self, in_one_slot: bool) -> RedisResult<Missing> {
        let channel = self.keys.channel();
        let keys = self.keys.probe(in_one_slot);
        let mut missing = Missing::default();
        for mode in ["remove", "use"] {
            let arguments = [mode.as_bytes(), channel.as_bytes(), changes::PROBE];
            let reply = self.link.run(&scripts::PROBE, &keys, &arguments, Effort::Once).await?;
            (missing.rights, missing.publishing) = reply.value;
            if !missing.rights.is_empty() {
                break;
            }
        }
        Ok(missing)
    }

    /// What works less well than it should, given these clients that can listen.
    pub async fn warnings(&self, listeners: &[Client]) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Ok(missing) = self.missing().await
            && !missing.publishing.is_empty()
        {
            warnings.push(format!("cannot publish changes: {}", missing.publishing));
        }
        match listeners {
            [] => {
                warnings
                    .push("not receiving changes by other instances: set listen_url".to_owned());
            }
            listeners => warnings.extend(self.deaf(listeners).await),
        }
        warnings
    }

    /// Why no listener can subscribe.
    async fn deaf(&self, listeners: &[Client]) -> Option<String> {
        let channel = self.keys.channel();
        let mut reason = None;
        for client in listeners {
            match changes::subscribe(client, &channel).await {
                Ok(_) => return None,
                Err(error) => {
                    reason = Some(format!("not receiving changes by other instances: {error}"));
                }
            }
        }
        reason
    }

    /// Logs once that other instances are not notified of changes.
    pub fn log_unpublished(&self, error: &str) {
        if !error.is_empty() && !self.unpublished.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: log::STORE,
                error,
                channel = self.keys.channel(),
                "cannot publish changes: other instances see them when cache entries expire"
            );
        }
    }
}

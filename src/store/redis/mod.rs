//! A token store in an existing Redis or Valkey server.

mod builder;
mod changes;
mod failure;
mod health;
mod index;
mod keys;
mod link;
mod row;
mod scripts;
mod source;
mod tls;
mod write;

use std::cmp::Reverse;
use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use redis::{Client, Cmd};
use tokio::time::timeout;

use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;
use crate::util::log;

pub use builder::RedisStoreBuilder;
use failure::unavailable;
use keys::Keys;
use link::{Effort, Link};
use row::Row;
use source::Source;

/// Time limit of one operation, including every retry. A purge takes longer.
const BUDGET: Duration = Duration::from_secs(4);

/// Keeps sealed tokens in an existing Redis or Valkey, for applications with many instances.
///
/// A subject's grants are one hash and change atomically. Every change is published to the other
/// instances. All requests share one connection, which is replaced when it is lost or a failover
/// has turned its server into a replica; writes are retried for up to 2 seconds meanwhile.
/// Durability depends on Redis: without `appendonly` a crash loses the last seconds of writes, and
/// the affected users are asked for consent again.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webflow_auth::store::RedisStore;
///
/// let store = RedisStore::connect("rediss://app:secret@cache.example.com/0").await?;
/// let apart = RedisStore::builder().key_prefix("staging:webflow").connect("redis://127.0.0.1/").await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    link: Link,
    /// Where changes can be received.
    listeners: Vec<Client>,
    keys: Keys,
    /// Whether keys are spread over nodes, so that a script can only use the keys of one subject.
    is_cluster: AtomicBool,
    /// Whether the failure to publish changes has been logged.
    unpublished: AtomicBool,
}

impl RedisStore {
    /// Connects to the server at `redis://[user:password@]host[:port][/db]`, or `rediss://` for
    /// TLS; see [`RedisStoreBuilder::connect`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the URL is malformed, the server is unreachable or rejects
    /// the credentials, or a permission is missing, which the message names.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::default()
    }

    fn new(source: Source, listeners: Vec<Client>, keys: Keys, is_cluster: bool) -> Self {
        Self {
            link: Link::new(source),
            listeners,
            keys,
            is_cluster: AtomicBool::new(is_cluster),
            unpublished: AtomicBool::new(false),
        }
    }

    async fn grants(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let get = Cmd::hvals(self.keys.subject(subject));
        let values: Vec<Vec<u8>> =
            self.link.query(&get, Effort::Once).await.map_err(unavailable)?;
        let mut tokens: Vec<_> = values
            .iter()
            .filter_map(|value| {
                let token = Row::decode(value).map(|row| row.token);
                let token = token.filter(|token| token.key().subject() == subject);
                if token.is_none() {
                    tracing::warn!(target: log::STORE, ?subject, "ignoring a malformed stored grant");
                }
                token
            })
            .collect();
        tokens.sort_by_key(|token| Reverse(token.version()));
        Ok(tokens)
    }

    async fn remove_row(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let version = version.as_i64().to_string();
        let (channel, message) = (self.keys.channel(), changes::payload(key.subject()));
        let arguments: [&[u8]; 4] = [
            key.grant().as_str().as_bytes(),
            version.as_bytes(),
            channel.as_bytes(),
            message.as_bytes(),
        ];
        let keys = [self.keys.subject(key.subject())];
        let reply = self.link.run(&scripts::REMOVE, &keys, &arguments, Effort::Persistent).await;
        let reply = reply.map_err(unavailable)?;
        let (removed, value, unpublished): (bool, Vec<u8>, String) = reply.value;
        self.log_unpublished(&unpublished);
        if let Some(row) = Row::decode(&value) {
            self.remove_entries(&row.token, &row.stamp).await;
        }
        // A row that is missing on a retry was removed by the first attempt.
        Ok(removed || reply.repeated)
    }
}

impl TokenStore for RedisStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        within(self.grants(subject)).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        within(self.write(token, "save")).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        within(self.remove_row(key, version)).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        within(self.write(token, "update")).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        within(self.covering(&self.keys.site(site_id))).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        within(self.covering(&self.keys.workspace(workspace_id))).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        within(self.ordered(after, limit)).await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.purge(age).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        within(self.check()).await
    }

    async fn warnings(&self) -> Vec<String> {
        self.degraded().await
    }

    async fn watch(&self, changes: Invalidator) {
        let channel = self.keys.channel();
        changes::listen(&self.listeners, &channel, self.link.drops(), &changes).await;
    }
}

async fn within<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(BUDGET, operation).await.unwrap_or(Err(StoreError::Timeout))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("keys", &self.keys).finish_non_exhaustive()
    }
}

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
mod server;
mod source;
mod tls;
mod write;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use tokio::time::timeout;

use super::group::{Change, Group, Load};
use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;

pub use builder::RedisStoreBuilder;
use keys::Keys;
use link::Link;
use server::Server;
use source::Source;
use write::Prepared;

/// Time limit of one operation, including every retry. A purge takes longer.
const BUDGET: Duration = Duration::from_secs(4);

/// How many groups of writes are sent without waiting for each other's replies: Redis runs one while this
/// process prepares the other.
const WRITING: usize = 2;

/// How many groups of loads are sent without waiting for each other's replies.
const LOADING: usize = 4;

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
    server: Arc<Server>,
    /// Where changes can be received.
    listeners: Vec<Client>,
    writes: Group<Server, Prepared>,
    loads: Group<Server, Load>,
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
        let server = Arc::new(Server::new(Link::new(source), keys, is_cluster));
        Self {
            writes: Group::new(&server, WRITING, BUDGET),
            loads: Group::new(&server, LOADING, BUDGET),
            server,
            listeners,
        }
    }

    /// Alone in a cluster, where operations of several nodes share nothing.
    async fn write(&self, write: Prepared) -> Result<bool, StoreError> {
        if self.server.is_cluster() {
            return self.writes.alone(write).await;
        }
        self.writes.run(write).await
    }
}

impl TokenStore for RedisStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let load = Load(subject.clone());
        if self.server.is_cluster() {
            self.loads.alone(load).await
        } else {
            self.loads.run(load).await
        }
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        self.write(self.server.put(token, Change::Save)?).await.map(drop)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.write(self.server.removal(key, version)).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        self.write(self.server.put(token, Change::Update)?).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        within(self.server.covering(&self.server.keys.site(site_id))).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        within(self.server.covering(&self.server.keys.workspace(workspace_id))).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        within(self.server.ordered(after, limit)).await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.purge(age).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        within(self.server.check()).await
    }

    async fn warnings(&self) -> Vec<String> {
        self.server.warnings(&self.listeners).await
    }

    async fn watch(&self, changes: Invalidator) {
        let (server, listeners) = (&self.server, &self.listeners);
        changes::listen(listeners, &server.keys.channel(), server.link.drops(), &changes).await;
    }
}

async fn within<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(BUDGET, operation).await.unwrap_or(Err(StoreError::Timeout))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("keys", &self.server.keys).finish_non_exhaustive()
    }
}

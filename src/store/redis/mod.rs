//! A store in an existing Redis or Valkey.

mod builder;
mod changes;
mod index;
mod keys;

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Client, RedisError, Script};

use super::{ChangeSink, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;

pub use builder::RedisStoreBuilder;
use keys::Keys;

/// Keeps sealed tokens in an existing Redis or Valkey, for applications of many instances.
///
/// A subject's grants are one hash, so they change in one step; every change is announced to the
/// other instances by pub/sub. One connection is shared by all requests and comes back by itself
/// after it was lost. How long a write lasts is Redis' own affair: without `appendonly` a crash
/// loses the last seconds, and users are asked for consent again.
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
    client: Client,
    connection: ConnectionManager,
    keys: Keys,
}

/// Writes a grant and announces it.
const SAVE: &str = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) \
     redis.call('PUBLISH', ARGV[3], ARGV[4])";

/// Replaces a grant if it still has that version, and announces it.
const UPDATE: &str = "local found = redis.call('HGET', KEYS[1], ARGV[1]) \
     if not found or string.sub(found, 1, string.len(ARGV[2])) ~= ARGV[2] then return 0 end \
     redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) \
     redis.call('PUBLISH', ARGV[4], ARGV[5]) \
     return 1";

/// Removes a grant if it still has that version, announces it, and gives what was there.
const REMOVE: &str = "local found = redis.call('HGET', KEYS[1], ARGV[1]) \
     if not found or string.sub(found, 1, string.len(ARGV[2])) ~= ARGV[2] then return false end \
     redis.call('HDEL', KEYS[1], ARGV[1]) \
     redis.call('PUBLISH', ARGV[3], ARGV[4]) \
     return found";

impl RedisStore {
    /// Connects to the server at `redis://[user:password@]host[:port][/db]`, or `rediss://` for
    /// TLS.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address is malformed, or the server cannot be reached
    /// or does not let us in.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// The settings, one by one.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::default()
    }

    async fn grants(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let mut connection = self.connection.clone();
        let values: Vec<Vec<u8>> =
            connection.hvals(self.keys.subject(subject)).await.map_err(unavailable)?;
        let mut tokens: Vec<_> = values
            .iter()
            .filter_map(|value| {
                let token = decode(value).filter(|token| token.key().subject() == subject);
                if token.is_none() {
                    tracing::warn!(?subject, "a stored grant is malformed: it counts as none");
                }
                token
            })
            .collect();
        tokens.sort_by_key(|token| Reverse(token.version()));
        Ok(tokens)
    }
}

impl TokenStore for RedisStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.grants(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        let subject = token.key().subject();
        subject.validate()?;
        let mut connection = self.connection.clone();
        // The indexes first: one that leads nowhere is passed over and cleared away, a grant that
        // none leads to would not be found. And once more, since a look-up in between clears away
        // what leads nowhere yet.
        self.index(&mut connection, token).await?;
        Script::new(SAVE)
            .key(self.keys.subject(subject))
            .arg(token.key().grant().as_str())
            .arg(encode(token)?)
            .arg(self.keys.channel())
            .arg(changes::payload(subject))
            .invoke_async::<()>(&mut connection)
            .await
            .map_err(unavailable)?;
        self.index(&mut connection, token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let removed: Option<Vec<u8>> = Script::new(REMOVE)
            .key(self.keys.subject(key.subject()))
            .arg(key.grant().as_str())
            .arg(version_prefix(version))
            .arg(self.keys.channel())
            .arg(changes::payload(key.subject()))
            .invoke_async(&mut connection)
            .await
            .map_err(unavailable)?;
        let Some(removed) = removed else { return Ok(false) };
        if let Some(token) = decode(&removed) {
            self.unindex(&mut connection, &token).await?;
        }
        Ok(true)
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let subject = token.key().subject();
        let mut connection = self.connection.clone();
        self.index(&mut connection, token).await?;
        let updated = Script::new(UPDATE)
            .key(self.keys.subject(subject))
            .arg(token.key().grant().as_str())
            .arg(version_prefix(token.version()))
            .arg(encode(token)?)
            .arg(self.keys.channel())
            .arg(changes::payload(subject))
            .invoke_async::<bool>(&mut connection)
            .await
            .map_err(unavailable)?;
        if updated {
            self.index(&mut connection, token).await?;
        }
        Ok(updated)
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.covering(&self.keys.site(site_id), |token| {
            token.sites().iter().any(|it| it == site_id)
        })
        .await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.covering(&self.keys.workspace(workspace_id), |token| {
            token.workspaces().iter().any(|it| it == workspace_id)
        })
        .await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.purge(age).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        connection.ping::<()>().await.map_err(unavailable)
    }

    async fn watch(&self, changes: ChangeSink) {
        changes::watch(&self.client, self.keys.channel(), &changes).await;
    }
}

/// A value is `version:document`, so that a script can compare the version without reading JSON.
fn encode(token: &SealedToken) -> Result<Vec<u8>, StoreError> {
    let mut value = version_prefix(token.version()).into_bytes();
    serde_json::to_writer(&mut value, &Document::of(token)).map_err(StoreError::unavailable)?;
    Ok(value)
}

fn decode(value: &[u8]) -> Option<SealedToken> {
    let colon = value.iter().position(|&byte| byte == b':')?;
    let (version, document) = value.split_at_checked(colon + 1)?;
    let document: Document = serde_json::from_slice(document).ok()?;
    let token = document.into_token()?;
    (version_prefix(token.version()).as_bytes() == version).then_some(token)
}

fn version_prefix(version: TokenVersion) -> String {
    format!("{}:", version.as_i64())
}

/// [`SealedToken`] with its bytes in base64: as a JSON array they would take three times as much.
#[derive(serde::Serialize, serde::Deserialize)]
struct Document {
    key: TokenKey,
    version: TokenVersion,
    sealed: String,
    obtained_at: u64,
    sites: Vec<String>,
    workspaces: Vec<String>,
}

impl Document {
    fn of(token: &SealedToken) -> Self {
        use base64::Engine;
        let since = token.obtained_at().duration_since(std::time::UNIX_EPOCH);
        Self {
            key: token.key().clone(),
            version: token.version(),
            sealed: base64::engine::general_purpose::STANDARD_NO_PAD.encode(token.sealed()),
            obtained_at: since.unwrap_or_default().as_secs(),
            sites: token.sites().to_vec(),
            workspaces: token.workspaces().to_vec(),
        }
    }

    fn into_token(self) -> Option<SealedToken> {
        use base64::Engine;
        let sealed = base64::engine::general_purpose::STANDARD_NO_PAD.decode(self.sealed).ok()?;
        let since = Duration::from_secs(self.obtained_at);
        let obtained_at = std::time::UNIX_EPOCH.checked_add(since)?;
        let token = SealedToken::new(self.key, self.version, sealed, obtained_at);
        Some(token.with_sites(self.sites).with_workspaces(self.workspaces))
    }
}

fn unavailable(error: RedisError) -> StoreError {
    if error.is_timeout() { StoreError::Timeout } else { StoreError::unavailable(error) }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("keys", &self.keys).finish_non_exhaustive()
    }
}

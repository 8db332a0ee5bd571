//! Settings of the Redis store.

use std::fmt;
use std::path::PathBuf;

use redis::Client;
use redis::aio::ConnectionLike;

use super::keys::Keys;
use super::link::Connection;
use super::source::Source;
use super::tls::Trust;
use super::{RedisStore, StoreError};

/// Builds a [`RedisStore`].
///
/// ```no_run
/// use tower_webflow_auth::store::{RedisStore, StoreError};
///
/// # async fn run() -> Result<(), StoreError> {
/// let store = RedisStore::builder()
///     .key_prefix("app")
///     .ca_file("/etc/ssl/redis-ca.pem")
///     .connect("rediss://user@cache.internal/")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `connect` to create the store"]
pub struct RedisStoreBuilder {
    prefix: String,
    trust: Trust,
    listen: Option<String>,
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self { prefix: "webflow".to_owned(), trust: Trust::default(), listen: None }
    }
}

impl RedisStoreBuilder {
    /// Sets the prefix of all keys and of the channel. It must not contain braces. The default is
    /// `webflow`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Trusts the CA certificates (PEM) in this file, for a server whose certificate was issued by
    /// a private CA. The default is the system's certificates, which `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` override, or Mozilla's if the system has none.
    ///
    /// `connect` reads the file. For a client certificate use [`with_client`](Self::with_client).
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust = Trust::File(path.into());
        self
    }

    /// Trusts these CA certificates (PEM); see [`ca_file`](Self::ca_file).
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust = Trust::Pem(pem.into());
        self
    }

    /// Sets the address for receiving changes by other instances, if it differs from the address
    /// for commands: for a store [`with_connection`](Self::with_connection), or behind a proxy
    /// without pub/sub.
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen = Some(url.into());
        self
    }

    /// Connects to the server at `url` and checks that the user may do what the store does: write,
    /// read and remove a row.
    ///
    /// The URL is `redis://[user:password@]host[:port][/db]`; `rediss://` connects with TLS. TLS
    /// uses rustls's process-wide default cryptography provider. If none is installed yet, this
    /// method installs `aws-lc-rs`; an application that wants another one installs it at the start
    /// of `main`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the URL is malformed, the server is unreachable or rejects
    /// the credentials, or a permission is missing, which the message names.
    pub async fn connect(self, url: &str) -> Result<RedisStore, StoreError> {
        checked(self.connect_lazy(url)?).await
    }

    /// Like [`connect`](Self::connect), but connects on first use.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the URL or a setting is malformed, or the CA file cannot be
    /// read.
    pub fn connect_lazy(self, url: &str) -> Result<RedisStore, StoreError> {
        let client = self.trust.client(url)?;
        self.store(Source::Client(Box::new(client.clone())), vec![client], false)
    }

    /// Connects to a Redis Cluster through some of its nodes, and checks the user's permissions as
    /// [`connect`](Self::connect) does. All nodes use the same user, password and TLS settings.
    ///
    /// Changes are received from these nodes: list more than one, so that the store survives the
    /// failure of a node.
    ///
    /// # Errors
    /// The errors of [`connect`](Self::connect).
    #[cfg(feature = "redis-cluster")]
    pub async fn connect_cluster(
        self,
        urls: impl IntoIterator<Item = impl AsRef<str>> + Send,
    ) -> Result<RedisStore, StoreError> {
        checked(self.connect_cluster_lazy(urls)?).await
    }

    /// Like [`connect_cluster`](Self::connect_cluster), but connects on first use.
    ///
    /// # Errors
    /// The errors of [`connect_lazy`](Self::connect_lazy).
    #[cfg(feature = "redis-cluster")]
    pub fn connect_cluster_lazy(
        self,
        urls: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<RedisStore, StoreError> {
        let nodes: Vec<_> = urls
            .into_iter()
            .map(|url| self.trust.client(url.as_ref()))
            .collect::<Result<_, _>>()?;
        let tls = nodes.iter().any(super::tls::is_used_by);
        let root_pem = if tls { self.trust.root_pem()? } else { None };
        let client =
            super::source::cluster(&nodes, root_pem).map_err(super::failure::unavailable)?;
        self.store(Source::Cluster(Box::new(client), tls), nodes, true)
    }

    /// Creates a store on the application's own redis 1 client, for example one with a client
    /// certificate. It connects on first use.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if a setting is malformed.
    pub fn with_client(self, client: Client) -> Result<RedisStore, StoreError> {
        self.store(Source::Client(Box::new(client.clone())), vec![client], false)
    }

    /// Creates a store on an existing redis 1 connection: a `ConnectionManager`, a
    /// `MultiplexedConnection` or a `ClusterConnection`.
    ///
    /// The connection's timeouts apply, and it must reconnect by itself. The store receives changes
    /// by other instances only if [`listen_url`](Self::listen_url) is set; otherwise they become
    /// visible when cache entries expire, after 5 seconds by default.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if a setting is malformed.
    pub fn with_connection(
        self,
        connection: impl ConnectionLike + Clone + Send + Sync + 'static,
    ) -> Result<RedisStore, StoreError> {
        self.store(Source::Connection(Connection::new(connection)), Vec::new(), false)
    }

    fn store(
        self,
        source: Source,
        listeners: Vec<Client>,
        cluster: bool,
    ) -> Result<RedisStore, StoreError> {
        let listeners = match &self.listen {
            Some(url) => vec![self.trust.client(url)?],
            None => listeners,
        };
        Ok(RedisStore::new(source, listeners, Keys::new(self.prefix)?, cluster))
    }
}

async fn checked(store: RedisStore) -> Result<RedisStore, StoreError> {
    store.server.check().await?;
    Ok(store)
}

/// Hides the addresses, which may contain a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

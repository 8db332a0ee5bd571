//! The settings of the store.

use std::fmt;
use std::path::PathBuf;

use redis::Client;
use redis::aio::ConnectionLike;

use super::keys::Keys;
use super::link::Connection;
use super::source::Source;
use super::tls::Trust;
use super::{RedisStore, StoreError};

/// The settings of a [`RedisStore`].
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
#[must_use = "`connect` makes the store"]
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
    /// The prefix of all keys and of the channel; default `webflow`. It must not contain braces.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// A file with the certificates (PEM) of the authorities that are trusted, for a server whose
    /// certificate a private CA signed. The default is the system's certificates, which
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace, and Mozilla's where the system has none.
    ///
    /// The file is read by `connect`. For a client certificate use
    /// [`with_client`](Self::with_client).
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust = Trust::File(path.into());
        self
    }

    /// The certificates (PEM) of the authorities that are trusted; see
    /// [`ca_file`](Self::ca_file).
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust = Trust::Pem(pem.into());
        self
    }

    /// The address at which changes of other instances are received, if it is not the one for
    /// commands: for a store over [`with_connection`](Self::with_connection), or behind a proxy
    /// that does not support pub/sub.
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen = Some(url.into());
        self
    }

    /// Connects to the server at that address, and checks that the user may do what the store
    /// does: write, read and remove a row.
    ///
    /// The address is `redis://[user:password@]host[:port][/db]`; `rediss://` connects by TLS. TLS
    /// uses the process's default cryptography provider of rustls. If none is installed by then,
    /// this installs `aws-lc-rs` as the default; an application that wants another one installs it
    /// at the beginning of `main`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address is malformed, the server cannot be reached or
    /// refuses the credentials, and when a right is missing, which its message names.
    pub async fn connect(self, url: &str) -> Result<RedisStore, StoreError> {
        checked(self.connect_lazy(url)?).await
    }

    /// Makes a store that connects at the first use, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the address or a setting is malformed, or the file with
    /// the CA's certificate cannot be read.
    pub fn connect_lazy(self, url: &str) -> Result<RedisStore, StoreError> {
        let client = self.trust.client(url)?;
        self.store(Source::Client(Box::new(client.clone())), vec![client], false)
    }

    /// Connects to a Redis Cluster by the addresses of some of its nodes, and checks the user's
    /// rights as [`connect`](Self::connect) does. The nodes share user, password and TLS.
    ///
    /// Changes are received by these nodes: give more than one, so that the store survives the
    /// failure of a node.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    #[cfg(feature = "redis-cluster")]
    pub async fn connect_cluster(
        self,
        urls: impl IntoIterator<Item = impl AsRef<str>> + Send,
    ) -> Result<RedisStore, StoreError> {
        checked(self.connect_cluster_lazy(urls)?).await
    }

    /// Makes a store that connects at the first use, as
    /// [`connect_cluster`](Self::connect_cluster) does.
    ///
    /// # Errors
    /// As for [`connect_lazy`](Self::connect_lazy).
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

    /// Makes a store over the application's own client (of redis 1), for example one with a client
    /// certificate. It connects at the first use.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a setting is malformed.
    pub fn with_client(self, client: Client) -> Result<RedisStore, StoreError> {
        self.store(Source::Client(Box::new(client.clone())), vec![client], false)
    }

    /// Makes a store over a connection (of redis 1) that the application has already: a
    /// `ConnectionManager`, a `MultiplexedConnection` or a `ClusterConnection`.
    ///
    /// Its timeouts apply, and it has to reconnect by itself. Changes of other instances are
    /// received only with [`listen_url`](Self::listen_url); without it they are noticed once a
    /// cache entry expires, after 5 seconds by default.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a setting is malformed.
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
    store.check().await?;
    Ok(store)
}

/// Without the addresses, which may contain a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

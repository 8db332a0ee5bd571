//! Where connections come from.

use std::time::Duration;

#[cfg(feature = "redis-cluster")]
use redis::cluster::ClusterClient;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::link::Connection;
use super::tls;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many commands the connection queues before senders must wait.
const QUEUE: usize = 1024;

pub enum Source {
    Client(Box<Client>),
    #[cfg(feature = "redis-cluster")]
    /// And whether its nodes use TLS.
    Cluster(Box<ClusterClient>, bool),
    /// The application's connection, which reconnects itself.
    Connection(Connection),
}

impl Source {
    pub async fn connect(&self) -> RedisResult<Connection> {
        match self {
            Self::Client(client) => {
                if tls::is_used_by(client) {
                    tls::provide_crypto();
                }
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    .set_pipeline_buffer_size(QUEUE);
                let connection =
                    client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(Connection::new(connection))
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(client, tls) => {
                if *tls {
                    tls::provide_crypto();
                }
                let connecting = client.get_async_connection();
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
                Ok(Connection::new(connected.map_err(|_| late)??))
            }
            Self::Connection(connection) => Ok(connection.clone()),
        }
    }
}

/// Creates a client for the cluster with these nodes, which all use the same settings.
#[cfg(feature = "redis-cluster")]
pub fn cluster(nodes: &[Client], root_pem: Option<Vec<u8>>) -> RedisResult<ClusterClient> {
    let nodes: Vec<_> = nodes.iter().map(|node| node.get_connection_info().clone()).collect();
    let mut builder = ClusterClient::builder(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(RESPONSE_TIMEOUT)
        .tcp_settings(tls::tcp_settings())
        .retries(4)
        .min_retry_wait(20)
        .max_retry_wait(500);
    if let Some(root_cert) = root_pem {
        let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
        builder = builder.certs(certificates);
    }
    builder.build()
}

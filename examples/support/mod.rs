//! Shared by the examples: a fake Webflow server, so that they need no configuration.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "examples are run by hand")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Scope, config::WebflowAuthBuilder};
use tracing_subscriber::EnvFilter;

pub type Error = Box<dyn std::error::Error>;

/// An example's listener, and the fake Webflow that it uses.
pub struct Stage {
    listener: TcpListener,
    pub fake: Arc<FakeWebflow>,
    pub address: SocketAddr,
}

impl Stage {
    /// Listens on `DEMO_ADDR` (default 127.0.0.1:3000), starts the fake Webflow, and enables the
    /// log.
    pub async fn new() -> Result<Self, Error> {
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new("tower_webflow_auth=info"));
        tracing_subscriber::fmt().with_env_filter(filter).init();
        Self::without_log().await
    }

    /// Starts the stage for an example that installs its own `tracing` subscriber.
    pub async fn without_log() -> Result<Self, Error> {
        let address = std::env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        let listener = TcpListener::bind(&address).await.map_err(|error| {
            format!("cannot listen on {address} ({error}): set DEMO_ADDR to another address")
        })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, fake: Arc::new(FakeWebflow::builder().start().await?), address })
    }

    /// A builder for the fake Webflow; a real application uses `WebflowAuthLayer::from_env`.
    pub fn auth(&self) -> WebflowAuthBuilder {
        self.fake
            .layer(format!("http://{}/auth/webflow/callback", self.address))
            .scopes([Scope::SITES_READ, Scope::CMS_READ])
    }

    /// Prints the URL and serves the application.
    pub async fn serve(self, app: Router) -> Result<(), Error> {
        println!("visit http://{}/", self.address);
        self.run(app).await
    }

    pub async fn run(self, app: Router) -> Result<(), Error> {
        Ok(axum::serve(self.listener, app).await?)
    }
}

/// The value of the first of these environment variables that is set, or `default`.
pub fn variable(names: &[&str], default: &str) -> String {
    let set = names.iter().find_map(|name| std::env::var(name).ok());
    set.unwrap_or_else(|| default.to_owned())
}

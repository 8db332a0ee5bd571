//! What the examples have in common: a stand-in for Webflow, so that nothing has to be configured.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "examples are run by hand")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Scope, WebflowAuthBuilder};
use tracing_subscriber::EnvFilter;

pub type Error = Box<dyn std::error::Error>;

/// Where an example listens, and the Webflow that it talks to.
pub struct Stage {
    listener: TcpListener,
    pub fake: Arc<FakeWebflow>,
    pub address: SocketAddr,
}

impl Stage {
    /// Listens on 127.0.0.1:3000, or on `DEMO_ADDR`. The log shows what the layer does.
    pub async fn new() -> Result<Self, Error> {
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new("tower_webflow_auth=info"));
        tracing_subscriber::fmt().with_env_filter(filter).init();
        let address = std::env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        let listener = TcpListener::bind(&address).await.map_err(|error| {
            format!("{address} cannot be listened on ({error}): set DEMO_ADDR to another address")
        })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, fake: Arc::new(FakeWebflow::builder().start().await?), address })
    }

    /// What would come from the environment, by `WebflowAuthLayer::from_env`.
    pub fn auth(&self) -> WebflowAuthBuilder {
        self.fake
            .layer(format!("http://{}/auth/webflow/callback", self.address))
            .scopes([Scope::SITES_READ, Scope::CMS_READ])
    }

    /// Says where to look, and serves.
    pub async fn serve(self, app: Router) -> Result<(), Error> {
        println!("visit http://{}/", self.address);
        self.run(app).await
    }

    pub async fn run(self, app: Router) -> Result<(), Error> {
        Ok(axum::serve(self.listener, app).await?)
    }
}

/// The first of these environment variables that is set, else `default`.
pub fn variable(names: &[&str], default: &str) -> String {
    let set = names.iter().find_map(|name| std::env::var(name).ok());
    set.unwrap_or_else(|| default.to_owned())
}

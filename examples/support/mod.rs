//! What the examples have in common: a stand-in for Webflow, so that nothing has to be configured.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "examples are run by hand")]

use axum::Router;
use tokio::net::TcpListener;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Scope, WebflowAuthBuilder};

pub type Error = Box<dyn std::error::Error>;

/// Where an example listens, and the Webflow that it talks to.
pub struct Stage {
    listener: TcpListener,
    pub fake: FakeWebflow,
    redirect_uri: String,
}

impl Stage {
    /// Listens on 127.0.0.1:3000, or on `DEMO_ADDR`.
    pub async fn new() -> Result<Self, Error> {
        let address = std::env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        let listener = TcpListener::bind(&address).await?;
        let redirect_uri = format!("http://{}/auth/webflow/callback", listener.local_addr()?);
        let fake = FakeWebflow::builder().start().await?;
        Ok(Self { listener, fake, redirect_uri })
    }

    /// What would come from the environment: see `WebflowAuthLayer::from_env`.
    pub fn auth(&self) -> WebflowAuthBuilder {
        self.fake.layer(&self.redirect_uri).scopes([Scope::SITES_READ, Scope::CMS_READ])
    }

    pub async fn serve(self, app: Router) -> Result<(), Error> {
        println!("visit http://{}/", self.listener.local_addr()?);
        Ok(axum::serve(self.listener, app).await?)
    }
}

pub fn say(line: &str) {
    println!("{line}");
}

//! The demo as a process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{FakeWebflow, FakeWebflowBuilder};

use super::port::free_address;

pub fn binary() -> PathBuf {
    example("demo")
}

/// The program of one of the crate's examples.
pub fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(name);
    assert!(path.exists(), "build it first: cargo build --all-features --example {name}");
    path
}

/// The redirect URI of a demo at that address.
pub fn redirect_uri(address: &str) -> String {
    format!("http://{address}/auth/webflow/callback")
}

pub struct Demo {
    process: Child,
    pub address: String,
    /// Its output, in a file, since an unread pipe would block it.
    output: File,
}

impl Demo {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let address = free_address();
        Self::start_at(&address.to_string(), settings).await
    }

    pub async fn start_at(address: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(&binary(), address, settings).await
    }

    /// Another example in place of the demo. Each runs its own fake Webflow.
    pub async fn start_example(name: &str) -> Self {
        let address = free_address();
        Self::run(&example(name), &address.to_string(), &[]).await
    }

    /// The demo with the test's fake Webflow, and the scopes that it requests by default.
    pub async fn with_webflow(
        change: impl FnOnce(FakeWebflowBuilder) -> FakeWebflowBuilder,
    ) -> (FakeWebflow, Self) {
        let change = |builder: FakeWebflowBuilder| change(builder.app_name("Site Notes"));
        let scopes = "authorized_user:read sites:read cms:read";
        Self::with_fake(change, &[("WEBFLOW_SCOPES", scopes), ("RUST_LOG", "info")]).await
    }

    /// The demo and a fake Webflow for it, with these settings besides those of
    /// [`against`](Self::against).
    pub async fn with_fake(
        change: impl FnOnce(FakeWebflowBuilder) -> FakeWebflowBuilder,
        settings: &[(&str, &str)],
    ) -> (FakeWebflow, Self) {
        let address = free_address().to_string();
        let builder = FakeWebflow::builder().redirect_uri(redirect_uri(&address));
        let fake = change(builder).start().await.unwrap();
        let demo = Self::against(&fake, &address, settings).await;
        (fake, demo)
    }

    /// The demo at that address as a client of that Webflow: with the scope `sites:read`, a new key
    /// and a store in memory, where `settings` says nothing else.
    pub async fn against(fake: &FakeWebflow, address: &str, settings: &[(&str, &str)]) -> Self {
        let (redirect_uri, key) = (redirect_uri(address), Keyring::generate_base64());
        let mut all = vec![
            ("WEBFLOW_CLIENT_ID", fake.client_id()),
            ("WEBFLOW_CLIENT_SECRET", fake.client_secret()),
            ("WEBFLOW_REDIRECT_URI", &redirect_uri),
            ("WEBFLOW_SCOPES", "sites:read"),
            ("WEBFLOW_BASE_URL", fake.base_url()),
            ("WEBFLOW_AUTH_KEY", &key),
            ("DEMO_STORE", "memory"),
        ];
        all.extend(settings);
        Self::start_at(address, &all).await
    }

    pub async fn run(program: &Path, address: &str, settings: &[(&str, &str)]) -> Self {
        let output = tempfile::tempfile().unwrap();
        let process = Command::new(program)
            .current_dir(std::env::temp_dir())
            .env_clear()
            .env("RUST_LOG", "trace")
            .env("DEMO_ADDR", address)
            .envs(settings.iter().copied())
            .stdout(output.try_clone().unwrap())
            .stderr(output.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut demo = Self { process, address: address.to_owned(), output };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return demo;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the demo does not listen: {}", demo.stop());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it with SIGTERM, and returns its output.
    pub fn stop(&mut self) -> String {
        Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        self.process.wait().unwrap();
        let mut text = String::new();
        self.output.seek(SeekFrom::Start(0)).unwrap();
        self.output.read_to_string(&mut text).unwrap();
        text
    }
}

impl Demo {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

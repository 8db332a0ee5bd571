//! An application's settings, store and grants, and the command with its environment.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, Subject, config::WebflowAuthBuilder};

use crate::support::demo::example;
use crate::support::port::free_address;
use crate::support::secrets::Secrets;

pub struct Stage {
    pub fake: FakeWebflow,
    pub folder: TempDir,
    pub key: String,
    pub store: String,
    pub redirect_uri: String,
    pub secrets: Secrets,
}

/// How a run of the command ended.
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    /// An application whose SQLite file is empty.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("webflow.db").display());
        let stage = Self::with_store(folder, store).await;
        SqliteStore::open(stage.file()).await.unwrap();
        stage
    }

    pub async fn with_store(folder: TempDir, store: String) -> Self {
        let address = free_address();
        let redirect_uri = format!("http://{address}/auth/webflow/callback");
        let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
        let key = Keyring::generate_base64();
        let mut secrets = Secrets::default();
        secrets.add("key", &key);
        secrets.add("client secret", fake.client_secret());
        Self { fake, folder, key, store, redirect_uri, secrets }
    }

    pub fn file(&self) -> &str {
        self.store.strip_prefix("sqlite:").unwrap()
    }

    pub fn builder(&self) -> WebflowAuthBuilder {
        self.fake
            .layer(&self.redirect_uri)
            .scopes([Scope::SITES_READ])
            .application_id(self.fake.application_id())
            .keyring(Keyring::from_base64(&self.key).unwrap())
    }

    /// Stores a grant for the user, as the application does, and returns its token.
    pub async fn connect(&mut self, user: &str) -> String {
        let token = self.fake.issue_token([Scope::SITES_READ]);
        self.secrets.add(user, &token);
        let store = SqliteStore::open(self.file()).await.unwrap();
        let auth = self.builder().store(store).build().unwrap();
        auth.handle().import(&Subject::user(user), token.clone()).await.unwrap();
        auth.shutdown().await;
        token
    }

    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WEBFLOW_CLIENT_ID", self.fake.client_id().to_owned()),
            ("WEBFLOW_CLIENT_SECRET", self.fake.client_secret().to_owned()),
            ("WEBFLOW_REDIRECT_URI", self.redirect_uri.clone()),
            ("WEBFLOW_SCOPES", "sites:read".to_owned()),
            ("WEBFLOW_BASE_URL", self.fake.base_url().to_owned()),
            ("WEBFLOW_APP_ID", self.fake.application_id().to_owned()),
            ("WEBFLOW_AUTH_KEY", self.key.clone()),
            ("WEBFLOW_STORE", self.store.clone()),
        ]
    }

    /// Runs the command in the application's environment.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, self.variables(), "").await
    }

    pub async fn run_with(
        &self,
        arguments: &[&str],
        variables: Vec<(&str, String)>,
        input: &str,
    ) -> Ended {
        let mut process = Command::new(example("webflow-auth"))
            .args(arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that reads no input has already closed it.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let output = process.wait_with_output().await.unwrap();
        let ended = Ended {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let printed = format!("{}\n{}", ended.stdout, ended.stderr);
        self.secrets.assert_unseen(&format!("{arguments:?}"), &printed);
        ended
    }
}

impl Ended {
    /// The JSON objects that a run printed. Asserts its exit status.
    #[track_caller]
    pub fn json(&self, status: i32) -> Vec<Value> {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub fn says(&self, status: i32, texts: &[&str]) {
        let printed = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.status, status, "{printed}");
        for text in texts {
            assert!(printed.contains(text), "no {text:?} in {printed}");
        }
    }
}

//! The example that the README starts: a fake Webflow alone.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Endpoints, Keyring, Scopes, WebflowAuthLayer, WebflowToken};

use crate::support::demo::example;

struct Fake(Child);

impl Drop for Fake {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts the example, and reads the variables that it prints.
fn start(redirect_uri: &str) -> (Fake, HashMap<String, String>) {
    let mut process = Command::new(example("fake_webflow"))
        .env_clear()
        .env("FAKE_ADDR", "127.0.0.1:0")
        .env("WEBFLOW_REDIRECT_URI", redirect_uri)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let fake = Fake(process);
    let mut variables = HashMap::new();
    for line in lines {
        let line = line.unwrap();
        let Some((name, value)) = line.strip_prefix("export ").and_then(|it| it.split_once('='))
        else {
            assert!(line.starts_with('#'), "a shell cannot read {line}");
            continue;
        };
        variables.insert(name.to_owned(), value.to_owned());
        if name == "WEBFLOW_AUTH_KEY" {
            break;
        }
    }
    (fake, variables)
}

#[tokio::test]
async fn an_application_signs_in_with_the_printed_variables() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_fake, variables) = start(&format!("http://{address}/auth/webflow/callback"));
    let of = |name: &str| variables[&format!("WEBFLOW_{name}")].as_str();
    // `from_env` reads the process's own variables, which tests share.
    let auth = WebflowAuthLayer::builder()
        .client_id(of("CLIENT_ID"))
        .client_secret(of("CLIENT_SECRET"))
        .application_id(of("APP_ID"))
        .redirect_uri(of("REDIRECT_URI"))
        .scopes(of("SCOPES").parse::<Scopes>().unwrap())
        .keyring(Keyring::from_base64(of("AUTH_KEY")).unwrap())
        .endpoints(Endpoints::at(of("BASE_URL")).unwrap())
        .build()
        .unwrap();
    let sites = |token: WebflowToken| async move {
        token.api().get("/v2/sites").send().await.unwrap().text().await.unwrap()
    };
    let app = Router::new().route("/sites", get(sites)).layer(auth);
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&format!("http://{address}/sites")).await.unwrap();
    assert_eq!(consent.path(), "/oauth/authorize", "{}", consent.text);
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK), "{}", page.text);
    assert!(page.text.contains("displayName"), "{}", page.text);
    server.abort();
}

//! Keys, checks, settings and their errors.

use std::fs;

use axum::Router;
use tower_webflow_auth::Keyring;
use tower_webflow_auth::store::SqliteStore;

use crate::stage::Stage;

#[tokio::test]
async fn key_is_new_and_usable() {
    let stage = Stage::new().await;
    let plain = stage.run_with(&["key"], Vec::new(), "").await;
    assert_eq!(plain.status, 0, "{}", plain.stderr);
    Keyring::from_base64(plain.stdout.trim()).unwrap();
    let json = stage.run_with(&["key", "--json"], Vec::new(), "").await.json(0);
    let key = json[0]["key"].as_str().unwrap();
    Keyring::from_base64(key).unwrap();
    assert_ne!(key, plain.stdout.trim());
}

async fn serve(address: &str, app: Router) -> tokio::task::JoinHandle<()> {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
}

#[tokio::test]
async fn check_passes_for_a_running_application_and_names_what_fails() {
    let stage = Stage::new().await;
    let address = stage.redirect_uri.split('/').nth(2).unwrap();
    let store = SqliteStore::open(stage.file()).await.unwrap();
    let auth = stage.builder().store(store).build().unwrap();
    let server = serve(address, Router::new().layer(auth)).await;
    let checks = stage.run(&["check", "--json"]).await.json(0);
    assert!(
        checks.iter().any(|it| it["check"] == "callback" && it["status"] == "ok"),
        "{checks:?}"
    );
    assert!(checks.iter().all(|it| it["status"] != "failed"), "{checks:?}");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let server = serve(address, Router::new()).await;
    stage.run(&["check"]).await.says(1, &["failed   callback", "->", "3 failed"]);
    server.abort();
}

#[tokio::test]
async fn missing_settings_are_all_named() {
    let stage = Stage::new().await;
    let checks = stage.run_with(&["check", "--json"], Vec::new(), "").await.json(1);
    assert!(checks.len() >= 4 && checks.iter().all(|it| it["remedy"].is_string()), "{checks:?}");
    let list = stage.run_with(&["list"], Vec::new(), "").await;
    let names = ["WEBFLOW_CLIENT_ID", "WEBFLOW_AUTH_KEY", "-> run it with the application's"];
    list.says(2, &names);
}

#[tokio::test]
async fn settings_are_read_from_a_file() {
    let stage = Stage::new().await;
    let file = stage.folder.path().join("app.env");
    let lines: Vec<_> =
        stage.variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let file = file.to_str().unwrap();
    stage.run_with(&["list", "--env-file", file], Vec::new(), "").await.says(0, &[]);
    fs::write(file, format!("WEBFLOW_AUTH_KEY {}", stage.key)).unwrap();
    let malformed = stage.run_with(&["list", "--env-file", file], Vec::new(), "").await;
    malformed.says(2, &["a line is not NAME=value"]);
    let missing = stage.run(&["list", "--env-file", "/nowhere/app.env"]).await;
    missing.says(2, &["cannot read /nowhere/app.env"]);
}

#[tokio::test]
async fn passwords_are_refused_on_the_command_line_and_never_printed() {
    let mut stage = Stage::new().await;
    stage.secrets.add("password", "correct-horse-battery");
    for url in [
        "postgres://app:correct-horse-battery@127.0.0.1:1/app",
        "redis://:correct-horse-battery@127.0.0.1:1/",
        "postgres://127.0.0.1:1/app?password=correct-horse-battery",
    ] {
        stage.run(&["list", "--store", url]).await.says(2, &["set WEBFLOW_STORE instead"]);
        let mut variables = stage.variables();
        variables.retain(|(name, _)| *name != "WEBFLOW_STORE");
        variables.push(("WEBFLOW_STORE", url.to_owned()));
        let down = stage.run_with(&["list"], variables, "").await;
        down.says(3, &["-> compare WEBFLOW_STORE with the application's store"]);
    }
}

#[tokio::test]
async fn a_store_is_never_created() {
    let stage = Stage::new().await;
    let path = stage.folder.path().join("typo.db");
    let url = format!("sqlite:{}", path.display());
    stage.run(&["list", "--store", &url]).await.says(3, &["there is no file", "->"]);
    assert!(!path.exists());
    let none = stage.variables().into_iter().filter(|(name, _)| *name != "WEBFLOW_STORE").collect();
    stage.run_with(&["list"], none, "").await.says(2, &["-> set WEBFLOW_STORE to"]);
    stage.run(&["list", "--store", "mongodb://a"]).await.says(2, &["-> name it sqlite:PATH"]);
}

#[tokio::test]
async fn help_explains_settings_and_exit_status() {
    let stage = Stage::new().await;
    let help = stage.run_with(&["--help"], Vec::new(), "").await;
    let commands = ["key", "check", "list", "revoke", "verify", "reseal", "import"];
    help.says(0, &commands);
    help.says(0, &["Exit status:", "WEBFLOW_STORE"]);
    let guide = include_str!("../../docs/guide/command.md");
    for command in commands {
        let row = [format!("| `{command}` |"), format!("| `{command} ")];
        assert!(row.iter().any(|row| guide.contains(row)), "{command} is not in the guide");
    }
    stage.run_with(&["revoke", "42"], Vec::new(), "").await.says(2, &["write user:ID"]);
}

//! The program: its settings, what it prints, its health, and how it ends.

use std::process::{Command, Output};

use axum::http::StatusCode;
use tower_webflow_auth::testing::TestBrowser;

use crate::stage::{PASSWORD, Stage, fill};
use crate::support::demo::{Demo, example};
use crate::support::port::free_address;

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(example("app"))
        .args(arguments)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("LISTEN", "127.0.0.1:0")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn fails_with(settings: &[(&str, &str)]) -> String {
    let output = run(&[], settings);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn runs_without_a_setting_and_says_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    let address = free_address().to_string();
    let settings = [("LISTEN", address.as_str()), ("HOME", home.path().to_str().unwrap())];
    let mut app = Demo::run(&example("app"), &address, &settings).await;
    let mut browser = TestBrowser::new();
    let signup = app.url("/signup?next=/dashboard");
    let consent = fill(&mut browser, &signup, "ada@example.com", PASSWORD).await;
    assert_eq!(consent.path(), "/oauth/authorize", "{}", consent.text);
    let mut page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
    for _ in 0..100 {
        page = browser.press("Have the fake Webflow send webhooks", &page).await.unwrap();
        if page.text.contains("was published") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(page.text.contains("was published"), "{}", page.text);
    let printed = app.stop();
    for line in [
        &format!("app: visit {}", app.url("/")),
        "app: the database is ",
        "tower-webflow-auth/app.db",
        "app: the panel in its Designer: http",
        "copy examples/app/.env.example to .env",
        "app: stopped",
    ] {
        assert!(printed.contains(line), "{line:?} in {printed}");
    }
}

#[tokio::test]
async fn doctor_finds_no_failure_in_the_running_app() {
    let stage = Stage::start().await;
    let settings = stage.settings.clone();
    // On another thread, because the fake Webflow runs on this one.
    let output = tokio::task::spawn_blocking(move || {
        let settings: Vec<_> = settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        run(&["check"], &settings)
    });
    let output = output.await.unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    let of_status = |status: &str| -> Vec<_> {
        let lines = report.lines().filter(|line| line.trim_start().starts_with(status));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(of_status("failed"), Vec::<String>::new(), "{report}");
    // What a test has to do without: https, a public host, and Webflow itself.
    let warnings = of_status("warning");
    assert_eq!(warnings.len(), 3, "{report}");
    assert!(report.contains("is plain http") && report.contains("a fake Webflow at"), "{report}");
}

#[tokio::test]
async fn health_and_metrics_need_no_sign_in() {
    let stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    let health = browser.visit(&stage.url("/health")).await.unwrap();
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, "ok"));
    assert_eq!(health.set_cookies(), Vec::<&str>::new());
    let metrics = browser.visit(&stage.url("/metrics")).await.unwrap();
    assert!(metrics.text.contains("webflow_auth_"), "{}", metrics.text);

    std::fs::remove_file(stage.folder.path().join("app.db")).unwrap();
    let health = browser.visit(&stage.url("/health")).await.unwrap();
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE, "{}", health.text);
}

#[test]
fn wrong_settings_are_reported_with_a_fix() {
    for (setting, message) in [
        (("LISTEN", "nowhere"), "LISTEN=nowhere is not an address and a port"),
        (("DATABASE_URL", "mysql://app:hunter2@host/app"), "neither sqlite:PATH nor postgres://"),
        (("DATABASE_URL", "sqlite:/missing/folder/app.db"), "the parent directory must exist"),
        (("DATABASE_URL_FILE", "/missing"), "DATABASE_URL_FILE=/missing cannot be read"),
        (("VERIFY_EVERY", "daily"), "VERIFY_EVERY=daily is not a number of seconds"),
        (("PANEL_ORIGIN", "localhost"), "panel_origin"),
        (("WEBFLOW_CLIENT_ID", "id"), "openssl rand"),
    ] {
        let printed = fails_with(&[setting]);
        assert!(printed.contains(message), "{message:?} in {printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[tokio::test]
async fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("auth-key");
    std::fs::write(&key, format!("{}\n", tower_webflow_auth::Keyring::generate_base64())).unwrap();
    let path = key.to_str().unwrap();
    let stage = Stage::with(&[("WEBFLOW_AUTH_KEY", ""), ("WEBFLOW_AUTH_KEY_FILE", path)]).await;
    stage.connected("ada@example.com").await;
}

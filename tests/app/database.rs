//! The database: what it holds, and Postgres in place of SQLite.

use axum::http::StatusCode;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::stage::{PASSWORD, Stage, fill};

#[tokio::test]
async fn database_has_no_password_session_or_token_in_clear() {
    let mut stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    browser.visit(&stage.url("/dashboard")).await.unwrap();
    let printed = stage.app.stop();
    let files = std::fs::read_dir(stage.folder.path()).unwrap();
    let files: Vec<u8> =
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let holds = |needle: &str| files.windows(needle.len()).any(|it| it == needle.as_bytes());
    assert!(holds("ada@example.com") && holds("$argon2id$"));
    let token = stage.fake.latest_token().unwrap();
    let session = browser.cookies("127.0.0.1").remove(0).1;
    for secret in [PASSWORD, token.as_str(), session.as_str(), stage.fake.client_secret()] {
        assert!(!holds(secret), "{secret} is in the database");
        assert!(!printed.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn users_and_grants_survive_a_restart() {
    let mut stage = Stage::start().await;
    let mut browser = stage.connected("ada@example.com").await;
    stage.app.stop();
    let settings: Vec<_> = stage.settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let address = stage.app.address.clone();
    let program = crate::support::demo::example("app");
    stage.app = crate::support::demo::Demo::run(&program, &address, &settings).await;
    let page = browser.visit(&stage.url("/dashboard")).await.unwrap();
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test, or set TEST_POSTGRES_URL and pass --ignored"]
async fn postgres_takes_the_place_of_sqlite() {
    let url = std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL: run scripts/test");
    let name = format!("app_{}", std::process::id());
    let mut admin = PgConnection::connect(&url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut admin)
        .await
        .unwrap();
    let mut url = url::Url::parse(&url).unwrap();
    url.set_path(&name);
    let stage = Stage::with(&[("DATABASE_URL", url.as_str()), ("VERIFY_EVERY", "1")]).await;
    let mut browser = stage.connected("ada@example.com").await;
    browser.submit(&stage.url("/signout")).await.unwrap();
    let login = stage.url("/login?next=/dashboard");
    let page = fill(&mut browser, &login, "ada@example.com", PASSWORD).await;
    assert_eq!((page.path(), page.status), ("/dashboard", StatusCode::OK), "{}", page.text);
    stage.webhooks_are_registered().await;
    let site = stage.fake.workspaces()[0].sites()[0].id();
    let payload = serde_json::json!({ "siteId": site });
    let event = tower_webflow_auth::testing::FakeEvent::new(
        tower_webflow_auth::webhooks::Trigger::SitePublish,
        payload,
    );
    stage.fake.deliver(&event).await;
    stage.shows(&mut browser, "/dashboard", "was published").await;
    stage.fake.revoke_everything();
    stage.shows(&mut browser, "/", "Webflow is not connected").await;
}

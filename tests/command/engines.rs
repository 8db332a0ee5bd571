//! The command with the stores that several instances share.

use serde_json::json;
use tower_webflow_auth::Scope;

use crate::stage::Stage;

async fn imports_lists_and_revokes(variable: &str) {
    let url = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run scripts/with-servers cargo test --test command")
    });
    let stage = Stage::with_store(tempfile::tempdir().unwrap(), url).await;
    let token = stage.fake.issue_token([Scope::SITES_READ]);
    let input = format!("user:ada,{token}\n");
    stage.run_with(&["import"], stage.variables(), &input).await.says(0, &["1 imported"]);
    let site = stage.fake.workspaces()[0].sites()[0].id();
    // Another app's rows in the same database are not shown.
    for arguments in [&["list", "--json"][..], &["list", "--json", "--site", site]] {
        let rows = stage.run(arguments).await.json(0);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["subject"], json!("user:ada"));
    }
    stage.run(&["revoke", "user:ada"]).await.says(0, &["revoked 1"]);
    assert!(stage.run(&["list", "--json"]).await.json(0).is_empty());
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/with-servers"]
async fn postgres() {
    imports_lists_and_revokes("TEST_POSTGRES_URL").await;
}

#[tokio::test]
#[ignore = "needs Redis: run scripts/with-servers"]
async fn redis() {
    imports_lists_and_revokes("TEST_REDIS_URL").await;
}

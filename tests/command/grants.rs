//! `list` and `revoke`.

use std::collections::BTreeSet;

use serde_json::Value;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::stage::Stage;

fn subjects(rows: &[Value]) -> BTreeSet<&str> {
    rows.iter().map(|row| row["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn grants_are_listed_by_subject_site_and_workspace() {
    let mut stage = Stage::new().await;
    for user in ["ada", "bob"] {
        stage.connect(user).await;
    }
    let all = stage.run(&["list", "--json"]).await.json(0);
    assert_eq!(subjects(&all), BTreeSet::from(["user:ada", "user:bob"]));
    assert_eq!(all[0]["scopes"], serde_json::json!(["sites:read"]));
    assert!(all[0]["obtainedAt"].as_u64().unwrap() > 1_700_000_000);
    let ada = stage.run(&["list", "--json", "--subject", "user:ada"]).await.json(0);
    assert_eq!(subjects(&ada), BTreeSet::from(["user:ada"]));
    let workspace = &stage.fake.workspaces()[0];
    let site = workspace.sites()[0].id();
    for filter in [["--site", site], ["--workspace", workspace.id()]] {
        let found = stage.run(&["list", "--json", filter[0], filter[1]]).await.json(0);
        assert_eq!(subjects(&found).len(), 2, "{filter:?}");
        let none = stage.run(&["list", "--json", filter[0], "0123456789abcdef01234567"]).await;
        assert_eq!(none.json(0), Vec::<Value>::new());
    }
    stage.run(&["list", "--subject", "user:ada"]).await.says(0, &["user:ada  grant", "GMT"]);
    let two = stage.run(&["list", "--site", site, "--subject", "user:ada"]).await;
    two.says(2, &["cannot be used with"]);
}

#[tokio::test]
async fn control_characters_of_a_subject_do_not_reach_the_terminal() {
    let mut stage = Stage::new().await;
    stage.connect("a\u{1b}[2Jb").await;
    let listed = stage.run(&["list"]).await;
    listed.says(0, &[r"user:a\u{1b}[2Jb"]);
    assert!(!listed.stdout.contains('\u{1b}'));
}

#[tokio::test]
async fn a_revoked_grant_is_gone_here_and_at_webflow() {
    let mut stage = Stage::new().await;
    stage.connect("ada").await;
    stage.connect("bob").await;
    stage.run(&["revoke", "user:ada", "--grant", "another"]).await.says(1, &["has no such grant"]);
    assert_eq!(stage.fake.live_tokens(), 2);
    stage.run(&["revoke", "user:ada"]).await.says(0, &["revoked 1 of user:ada"]);
    assert_eq!(stage.fake.live_tokens(), 1);
    let again = stage.run(&["revoke", "user:ada", "--json"]).await.json(1);
    assert_eq!(again[0]["revoked"], 0);
    let left = stage.run(&["list", "--json"]).await.json(0);
    assert_eq!(subjects(&left), BTreeSet::from(["user:bob"]));
    let id = left[0]["grant"].as_str().unwrap();
    stage.run(&["revoke", "user:bob", "--grant", id]).await.says(0, &["revoked 1"]);
    assert_eq!(stage.fake.live_tokens(), 0);
}

#[tokio::test]
async fn a_revocation_that_webflow_does_not_answer_is_reported() {
    let mut stage = Stage::new().await;
    stage.connect("ada").await;
    stage.fake.fail_always(Endpoint::Revoke, Fault::json(503, &serde_json::json!({})));
    let revoked = stage.run(&["revoke", "user:ada"]).await;
    revoked.says(4, &["removed here, but not yet at Webflow", "->"]);
    assert_eq!(stage.run(&["list", "--json"]).await.json(0), Vec::<Value>::new());
}

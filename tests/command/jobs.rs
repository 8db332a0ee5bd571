//! `verify` and `reseal`.

use serde_json::{Value, json};
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::stage::{Ended, Stage};

fn summary(rows: &[Value]) -> &Value {
    &rows.last().unwrap()["summary"]
}

const VERIFY: [&str; 6] = ["verify", "--json", "--per-second", "1000", "--confirm-after", "0"];

#[tokio::test]
async fn grants_that_are_gone_at_webflow_are_removed() {
    let mut stage = Stage::new().await;
    let token = stage.connect("ada").await;
    stage.connect("bob").await;
    let rows = stage.run(&VERIFY).await.json(0);
    assert_eq!(summary(&rows), &json!({ "alive": 2, "gone": 0, "unknown": 0 }));
    stage.fake.revoke(&token);
    let rows = stage.run(&VERIFY).await.json(0);
    assert_eq!(summary(&rows), &json!({ "alive": 1, "gone": 1, "unknown": 0 }));
    assert!(rows.iter().any(|row| row["subject"] == "user:ada" && row["state"] == "gone"));
    assert_eq!(stage.run(&["list", "--json"]).await.json(0).len(), 1);
}

#[tokio::test]
async fn no_grant_is_removed_while_webflow_does_not_answer() {
    let mut stage = Stage::new().await;
    stage.connect("ada").await;
    stage.fake.fail_always(Endpoint::Introspect, Fault::json(503, &json!({})));
    let verified = stage.run(&["verify", "--confirm-after", "0"]).await;
    verified.says(4, &["user:ada is unknown", "1 unknown", "-> run it again later"]);
    assert_eq!(stage.run(&["list", "--json"]).await.json(0).len(), 1);
}

async fn run_with_keys(stage: &Stage, keys: &str, arguments: &[&str]) -> Ended {
    let mut variables = stage.variables();
    variables.retain(|(name, _)| *name != "WEBFLOW_AUTH_KEY");
    variables.push(("WEBFLOW_AUTH_KEY", keys.to_owned()));
    stage.run_with(arguments, variables, "").await
}

#[tokio::test]
async fn after_resealing_the_old_key_can_be_dropped() {
    let mut stage = Stage::new().await;
    for user in ["ada", "bob"] {
        stage.connect(user).await;
    }
    let new = Keyring::generate_base64();
    stage.secrets.add("new key", &new);
    let both = format!("{new},{}", stage.key);
    let rows = run_with_keys(&stage, &both, &["reseal", "--json"]).await.json(0);
    assert_eq!(summary(&rows), &json!({ "resealed": 2, "unopenable": 0 }));
    let rows = run_with_keys(&stage, &both, &["reseal", "--json"]).await.json(0);
    assert_eq!(summary(&rows), &json!({ "resealed": 0, "unopenable": 0 }));
    assert_eq!(run_with_keys(&stage, &new, &["list", "--json"]).await.json(0).len(), 2);
    let lost = run_with_keys(&stage, &stage.key, &["reseal"]).await;
    lost.says(1, &["no key opens a grant of user:ada", "2 not readable"]);
}

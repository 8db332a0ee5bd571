//! `import`.

use std::fs;

use serde_json::json;
use tower_webflow_auth::Scope;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::stage::Stage;
use crate::support::demo::example;

#[tokio::test]
async fn tokens_are_imported_from_standard_input_and_from_a_file() {
    let mut stage = Stage::new().await;
    let tokens: Vec<_> = (0..3).map(|_| stage.fake.issue_token([Scope::SITES_READ])).collect();
    for (index, token) in tokens.iter().enumerate() {
        stage.secrets.add(&format!("token {index}"), token);
    }
    stage.fake.revoke(&tokens[2]);
    let input = format!(
        "# subject,token\n\nuser:ada, {}\nuser:b,ob,{}\nuser:cyd,{}\n",
        tokens[0], tokens[1], tokens[2]
    );
    let imported = stage.run_with(&["import", "--json"], stage.variables(), &input).await;
    let rows = imported.json(1);
    assert_eq!(rows[1]["subject"], "user:b,ob");
    assert_eq!(rows[2]["outcome"], "refused");
    assert_eq!(rows[3]["summary"], json!({ "imported": 2, "refused": 1, "failed": 0 }));
    assert_eq!(stage.run(&["list", "--json"]).await.json(0).len(), 2);

    let file = stage.folder.path().join("tokens.csv");
    fs::write(&file, format!("user:ada,{}\n", tokens[0])).unwrap();
    stage.run(&["import", file.to_str().unwrap()]).await.says(0, &["1 imported, 0 refused"]);
    assert_eq!(stage.run(&["list", "--json"]).await.json(0).len(), 2);
}

#[tokio::test]
async fn a_malformed_line_is_named_and_nothing_is_imported() {
    let mut stage = Stage::new().await;
    let token = stage.fake.issue_token([Scope::SITES_READ]);
    stage.secrets.add("token", &token);
    for (line, hint) in [
        (format!("user:ada {token}"), "line 2 has no comma"),
        (format!("ada,{token}"), "line 2 names no subject"),
    ] {
        let input = format!("user:bob,{token}\n{line}\n");
        let ended = stage.run_with(&["import"], stage.variables(), &input).await;
        ended.says(2, &[hint, "->"]);
    }
    stage.run(&["import", "/nowhere/tokens.csv"]).await.says(2, &["cannot read /nowhere"]);
    assert!(stage.run(&["list", "--json"]).await.json(0).is_empty());
}

#[tokio::test]
async fn unanswered_tokens_are_left_for_another_run() {
    let mut stage = Stage::new().await;
    let token = stage.fake.issue_token([Scope::SITES_READ]);
    stage.secrets.add("token", &token);
    let input = format!("user:ada,{token}\n");
    stage.fake.fail_always(Endpoint::Introspect, Fault::json(503, &json!({})));
    let failed = stage.run_with(&["import"], stage.variables(), &input).await;
    failed.says(4, &["user:ada failed", "1 to be tried again", "->"]);
    stage.fake.heal();
    stage.run_with(&["import"], stage.variables(), &input).await.says(0, &["1 imported"]);
}

#[tokio::test]
async fn the_application_id_is_asked_for() {
    let stage = Stage::new().await;
    let token = stage.fake.issue_token([Scope::SITES_READ]);
    let variables = stage.variables().into_iter().filter(|it| it.0 != "WEBFLOW_APP_ID").collect();
    let input = format!("user:ada,{token}\n");
    stage.run_with(&["import"], variables, &input).await.says(2, &["WEBFLOW_APP_ID"]);
}

/// `script` provides a terminal.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn progress_is_shown_on_a_terminal_only() {
    let stage = Stage::new().await;
    let line = |i| format!("user:{i},{}", stage.fake.issue_token([Scope::SITES_READ]));
    let lines: Vec<_> = (0..5).map(line).collect();
    let file = stage.folder.path().join("tokens.csv");
    fs::write(&file, lines.join("\n")).unwrap();
    let import = ["import", "--per-second", "20", file.to_str().unwrap()];
    let plain = stage.run(&import).await;
    plain.says(0, &["5 imported"]);
    assert!(plain.stderr.is_empty(), "{}", plain.stderr);
    let command = format!("{} {}", example("webflow-auth").display(), import.join(" "));
    let shown = tokio::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .envs(stage.variables())
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("5 imported") && shown.contains("/5  "), "{shown:?}");
}

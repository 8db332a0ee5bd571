//! axe-core, which finds barriers for people with disabilities.

use serde_json::{Value, json};

use super::webdriver::Browser;

/// The violations on the page that the browser shows, each with the elements concerned.
pub async fn violations(browser: &Browser) -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/axe/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(file)
        .expect("axe-core: run scripts/test, or `npm ci --prefix tests/axe`");
    let script = format!(
        "{axe}; const done = arguments[arguments.length - 1]; \
         axe.run(document, {{ resultTypes: ['violations'] }}).then(\
         (found) => done({{ passes: found.passes.length, violations: found.violations }}), \
         (error) => done({{ error: String(error) }}))"
    );
    let found = browser.client.execute_async(&script, Vec::new()).await.unwrap();
    assert!(found["passes"].as_u64().is_some_and(|passes| passes > 5), "axe did not run: {found}");
    found["violations"].as_array().unwrap().iter().map(summary).collect()
}

fn summary(violation: &Value) -> String {
    let nodes: Vec<_> = violation["nodes"].as_array().unwrap_or(&Vec::new()).clone();
    let where_ = nodes
        .iter()
        .map(|node| json!({ "target": node["target"], "why": node["failureSummary"] }).to_string());
    format!("{}: {}", violation["id"], where_.collect::<Vec<_>>().join("; "))
}

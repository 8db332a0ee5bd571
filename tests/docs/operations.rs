//! The dashboard, the alerts and the runbook are complete and refer only to what exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tower_webflow_auth::hooks::FailureKind;

use crate::read;

const ALERTS: &str = "operations/alerts.yml";
const DASHBOARD: &str = "operations/grafana-dashboard.json";

/// The crate's metrics, each with whether it is a histogram.
fn metrics() -> BTreeMap<String, bool> {
    let source = read("src/util/metrics.rs");
    let names = source.split('"').filter(|text| text.starts_with("webflow_auth_"));
    let metrics: BTreeMap<_, _> =
        names.map(|name| (name.to_owned(), name.ends_with("_seconds"))).collect();
    assert!(metrics.len() >= 7, "{metrics:?}");
    metrics
}

/// The crate's metrics that a text names. Panics if one does not exist.
fn named(text: &str, metrics: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let starts = text.match_indices("webflow_auth_").map(|(at, _)| &text[at..]);
    let series = starts.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    let metric = |series: &str| {
        let parts = ["_bucket", "_count", "_sum"];
        let base = parts.iter().find_map(|part| series.strip_suffix(part));
        let histogram = base.filter(|base| metrics.get(*base) == Some(&true));
        let name = histogram.unwrap_or(series);
        // Histograms are queried by the names of their series.
        assert_eq!(metrics.get(name), Some(&histogram.is_some()), "no series {series}");
        name.to_owned()
    };
    series.map(metric).collect()
}

fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The alerts' names.
fn alerts() -> Vec<String> {
    let rules = read(ALERTS);
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn every_metric_has_a_panel_and_every_query_a_metric() {
    let metrics = metrics();
    let shown = named(&expressions().join("\n"), &metrics);
    assert_eq!(shown, metrics.keys().cloned().collect());
    named(&read(ALERTS), &metrics);
    named(&read("operations/alerts.test.yml"), &metrics);
    let documented = read("docs/observability.md");
    let table = documented.lines().filter_map(|line| line.strip_prefix("| `webflow_auth_"));
    assert_eq!(table.count(), metrics.len());
}

#[test]
fn queries_use_labels_and_reasons_that_exist() {
    let metrics = read("src/util/metrics.rs");
    let mut known: BTreeSet<_> = metrics.split('"').skip(1).step_by(2).collect();
    known.extend(["job", "le"]);
    let kinds: BTreeSet<_> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let documented = read("docs/observability.md");
    let texts = [expressions().join("\n"), read(ALERTS)];
    let mut reasons = 0;
    for text in &texts {
        for labels in text.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let unknown = labels.split(", ").find(|label| !known.contains(label));
            assert_eq!(unknown, None, "in by ({labels})");
        }
        for (label, values) in text.split('{').skip(1).flat_map(matchers) {
            assert!(known.contains(label.as_str()), "{label}");
            for value in values.split('|').filter(|_| label != "job") {
                let exists = match label.as_str() {
                    "reason" => kinds.contains(value),
                    _ => documented.contains(&format!("`{value}`")),
                };
                assert!(exists, "no {label} is {value}");
                reasons += usize::from(label == "reason");
            }
        }
    }
    assert!(reasons >= 10, "{reasons} reasons");
}

/// The label matchers up to a closing brace.
fn matchers(rest: &str) -> Vec<(String, String)> {
    let inside = rest.split('}').next().unwrap();
    let pairs = inside.split(", ").filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(label, value)| {
            let value = value.trim_start_matches('~').trim_matches('"');
            (label.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_a_test() {
    let runbook = read("docs/runbook.md");
    let sections: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    assert_eq!(sections, alerts, "in the same order");
    let (rules, tests) = (read(ALERTS), read("operations/alerts.test.yml"));
    for alert in &alerts {
        let anchor = format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not link to the runbook");
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test");
    }
    // Messages that the runbook quotes are documented.
    let log = read("docs/observability.md");
    for message in ["the token store failed", "a stored grant does not open"] {
        assert!(runbook.contains(message) && log.contains(message), "{message}");
    }
}

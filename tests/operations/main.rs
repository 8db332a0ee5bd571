//! The dashboard's queries and the alerts, in a real Prometheus that scrapes the demo. Needs
//! Debian's package `prometheus` and the example built: scripts/operations has both.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "nothing is outside of a test binary")]

#[path = "../support/mod.rs"]
mod support;

mod prometheus;

use axum::http::{Method, StatusCode};
use prometheus::Prometheus;
use serde_json::{Value, json};
use support::demo::Demo;
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, TestBrowser};

async fn demo() -> (FakeWebflow, Demo) {
    let settings = [("DEMO_METRICS", "1"), ("RUST_LOG", "warn")];
    Demo::with_fake(|builder| builder.rate_limit(100_000), &settings).await
}

/// A login, a request with its grant, a request without one, and a login that the user cancels.
async fn use_it(demo: &Demo) {
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let whoami = browser.fetch(Method::GET, &demo.url("/whoami")).await.unwrap();
    assert_eq!(whoami.status, StatusCode::OK);
    let mut other = TestBrowser::new();
    let refused = other.fetch(Method::GET, &demo.url("/whoami")).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let consent = other.visit(&demo.url("/sites")).await.unwrap();
    let denied = other.press("Cancel", &consent).await.unwrap();
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{}", denied.text);
}

/// A login in whose exchange Webflow rejects the client.
async fn be_refused(demo: &Demo) {
    let mut browser = TestBrowser::new();
    let consent = browser.visit(&demo.url("/sites")).await.unwrap();
    let page = browser.press("Authorize", &consent).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.text);
}

/// The dashboard's queries, with its variables filled in.
fn queries() -> Vec<String> {
    let file = format!("{}/operations/grafana-dashboard.json", env!("CARGO_MANIFEST_DIR"));
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let with_values = |query: &str| {
        let filled = query.replace("$job", "demo").replace("$__rate_interval", "1m");
        filled.replace("$__range", "1h")
    };
    let queries: Vec<_> = targets.map(|it| with_values(it["expr"].as_str().unwrap())).collect();
    assert!(queries.iter().all(|query| !query.contains('$')), "{queries:?}");
    queries
}

/// Whether a query has a result whose values are all numbers.
fn has_data(result: &Value) -> bool {
    let samples = result.as_array().unwrap();
    let numbers = samples.iter().filter_map(|it| it["value"][1].as_str()?.parse::<f64>().ok());
    !samples.is_empty() && numbers.filter(|it| it.is_finite()).count() == samples.len()
}

#[tokio::test]
#[ignore = "needs Prometheus: run scripts/operations"]
async fn every_query_has_data_and_an_alert_fires() {
    let (fake, demo) = demo().await;
    let prometheus = Prometheus::start(&demo.address).await;

    let mut waiting = queries();
    assert!(waiting.len() >= 12, "{waiting:?}");
    for _ in 0..100 {
        use_it(&demo).await;
        let mut without = Vec::new();
        for query in waiting {
            if !has_data(&prometheus.query(&query).await) {
                without.push(query);
            }
        }
        waiting = without;
        if waiting.is_empty() {
            break;
        }
        prometheus.scraped().await;
    }
    assert!(waiting.is_empty(), "no data for {waiting:#?}");

    let rules = prometheus.get("rules", &[]).await;
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let alerts = std::fs::read_to_string(prometheus::RULES).unwrap();
    assert_eq!(rules.len(), alerts.matches("- alert: ").count());
    let unwell: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(unwell.is_empty(), "{unwell:#?}");
    assert_eq!(prometheus.firing().await, Vec::<String>::new());

    fake.fail_always(Endpoint::Token, Fault::json(401, &json!({ "error": "invalid_client" })));
    for _ in 0..100 {
        be_refused(&demo).await;
        prometheus.scraped().await;
        if !prometheus.firing().await.is_empty() {
            break;
        }
    }
    assert_eq!(prometheus.firing().await, ["WebflowClientRefused"]);
}

//! `DEMO_METRICS=1`: the crate's metrics at `GET /metrics`, in Prometheus' text format.

use std::error::Error;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// From a local store to the 10 seconds that a callback may take.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The route, none unless it is switched on. The crate's metrics are recorded from then on.
pub(crate) fn router() -> Result<Router, Box<dyn Error>> {
    if std::env::var("DEMO_METRICS").as_deref() != Ok("1") {
        return Ok(Router::new());
    }
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let recorder =
        PrometheusBuilder::new().set_buckets_for_metric(suffix, &SECONDS)?.install_recorder()?;
    let show = move || async move {
        recorder.run_upkeep();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render())
    };
    Ok(Router::new().route("/metrics", get(show)))
}

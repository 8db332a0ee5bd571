//! `/health` for the load balancer, `/metrics` for Prometheus.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::start::App;

/// From a local store to the 10 seconds that a callback may take.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Records the crate's metrics from now on.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(suffix, &SECONDS)?.install_recorder()
}

/// Keep this path from the public: the numbers are nobody else's business.
pub(crate) fn metrics(recorder: &PrometheusHandle) -> Response {
    recorder.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()).into_response()
}

/// 200 if a user could sign in and connect Webflow. Call it every few seconds.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.auth.handle().healthy().await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the token store is not available");
    }
    if sqlx::query("SELECT 1").execute(&app.db).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database is not available");
    }
    (StatusCode::OK, "ok")
}

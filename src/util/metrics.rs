//! Counters and histograms with the `metrics` feature; no-ops otherwise.
//!
//! Labels never contain data from a request or a subject.

use std::time::Duration;
#[cfg(feature = "metrics")]
use std::time::Instant;

pub fn flow_started(kind: &'static str) {
    count("webflow_auth_flows_started_total", "kind", kind);
}

pub fn flow_completed() {
    count("webflow_auth_flows_completed_total", "by", "callback");
}

pub fn flow_failed(reason: &'static str) {
    count("webflow_auth_flows_failed_total", "reason", reason);
}

pub fn challenged(answer: &'static str) {
    count("webflow_auth_challenges_total", "answer", answer);
}

/// Called on every request: constant labels let `metrics` build the key at compile time.
pub fn cache(hit: bool) {
    #[cfg(feature = "metrics")]
    if hit {
        metrics::counter!("webflow_auth_cache_total", "result" => "hit").increment(1);
    } else {
        metrics::counter!("webflow_auth_cache_total", "result" => "miss").increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = hit;
}

#[cfg(feature = "metrics")]
fn count(name: &'static str, label: &'static str, value: &'static str) {
    metrics::counter!(name, label => value).increment(1);
}

#[cfg(not(feature = "metrics"))]
const fn count(_: &'static str, _: &'static str, _: &'static str) {}

/// Measures how long something takes.
pub struct Timer {
    #[cfg(feature = "metrics")]
    started: Instant,
}

impl Timer {
    #[cfg_attr(not(feature = "metrics"), expect(clippy::missing_const_for_fn))]
    pub fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            started: Instant::now(),
        }
    }

    pub fn exchange(&self) {
        observe("webflow_auth_exchange_seconds", "endpoint", "token", self.elapsed());
    }

    pub fn store(&self, operation: &'static str) {
        observe("webflow_auth_store_seconds", "operation", operation, self.elapsed());
    }

    #[cfg(feature = "metrics")]
    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self)]
    const fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(feature = "metrics")]
fn observe(name: &'static str, label: &'static str, value: &'static str, took: Duration) {
    metrics::histogram!(name, label => value).record(took.as_secs_f64());
}

#[cfg(not(feature = "metrics"))]
const fn observe(_: &'static str, _: &'static str, _: &'static str, _: Duration) {}

//! Traces with OpenTelemetry: a span for each request, and in it the events of the login.
//!
//! The spans are printed. In production, replace `opentelemetry_stdout::SpanExporter` with the
//! exporter of `opentelemetry-otlp`.
//!
//! No span contains a secret: the crate's events have none, and `span` records the path without the
//! query, which has a callback's code and state. The test below searches the exported spans.

mod support;

use axum::body::Body;
use axum::extract::Request;
use axum::{Json, Router, routing::get};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tower_http::trace::TraceLayer;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken, api::ApiError};
use tracing::{Span, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
    Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
}

/// The trace layer is outside, so that its span has the layer's events.
fn app(auth: WebflowAuthLayer) -> Router {
    let trace = TraceLayer::new_for_http().make_span_with(span);
    Router::new().route("/", get(sites)).layer(auth).layer(trace)
}

fn span(request: &Request<Body>) -> Span {
    let path = request.uri().path();
    tracing::info_span!(
        "request",
        otel.name = format!("{} {path}", request.method()),
        otel.kind = "server",
        url.path = path,
    )
}

/// Sends the spans of this program, and the crate's events in them, to a provider.
fn subscriber(provider: &SdkTracerProvider) -> impl Subscriber + Send + Sync + use<> {
    let exported = Targets::new()
        .with_target("opentelemetry", LevelFilter::INFO)
        .with_target("tower_webflow_auth", LevelFilter::INFO);
    let tracer = provider.tracer("tower-webflow-auth");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing_subscriber::registry().with(layer.with_filter(exported))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(opentelemetry_stdout::SpanExporter::default())
        .with_resource(Resource::builder().with_service_name("site-notes").build())
        .build();
    subscriber(&provider).init();
    let stage = support::Stage::without_log().await?;
    let auth = stage.auth().build()?;
    tokio::select! {
        served = stage.serve(app(auth)) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // Exports what is still in the batch.
    Ok(provider.shutdown()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
    use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};

    fn events<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a str> {
        // The layer checks once that its callback can be reached, so there may be several.
        let spans = spans.iter().filter(|span| span.name == name);
        spans.flat_map(|span| &span.events.events).map(|event| event.name.as_ref()).collect()
    }

    #[tokio::test]
    async fn spans_show_a_login_and_no_secret() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let _guard = tracing::subscriber::set_default(subscriber(&provider));
        let fake = FakeWebflow::start().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let auth = fake.layer(format!("{url}/auth/webflow/callback")).build().unwrap();
        let server = app(auth.clone());
        tokio::spawn(async move { axum::serve(listener, server).await });

        let mut browser = TestBrowser::new();
        let consent = browser.visit(&url).await.unwrap();
        let page = browser.press("Authorize", &consent).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text);
        auth.shutdown().await;

        let spans = exporter.get_finished_spans().unwrap();
        assert!(events(&spans, "GET /").contains(&"flow started"));
        let callback = events(&spans, "GET /auth/webflow/callback");
        assert!(callback.contains(&"code exchanged") && callback.contains(&"grant stored"));

        let exchange = fake.requests_to("/oauth/access_token")[0].json().unwrap();
        let state = consent.url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
        let cookies = browser.cookies("127.0.0.1").into_iter().map(|(_, value)| value);
        let text = format!("{spans:?}");
        for secret in cookies.chain([
            exchange["code"].as_str().unwrap().to_owned(),
            state.into_owned(),
            fake.client_secret().to_owned(),
            fake.latest_token().unwrap(),
        ]) {
            assert!(secret.len() >= 8 && !text.contains(&secret), "{secret} in {text}");
        }
    }
}

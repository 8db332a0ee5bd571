use axum::body::Body;
use axum::{Router, routing::get};
use serde_json::Value;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder};

async fn with_store(
    builder: WebflowAuthBuilder,
) -> Result<WebflowAuthBuilder, Box<dyn std::error::Error>> {
    Ok(builder.store(SqliteStore::open("webflow.db").await?))
}

fn with_users(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|_: &http::request::Parts| Some(Subject::user(42)))
}

fn app(auth: WebflowAuthLayer) -> Router {
    let layers = ServiceBuilder::new()
        .layer(auth)
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(CompressionLayer::new());
    Router::new().route("/", get(|| async { "sites" })).layer(layers)
}

async fn pages(token: WebflowToken, site: String) -> Result<Value, ApiError> {
    token.api().get(["sites", &site, "pages"]).send().await?.json().await
}

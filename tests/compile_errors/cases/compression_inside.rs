use axum::{Router, routing::get};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_webflow_auth::WebflowAuthLayer;

fn app(auth: WebflowAuthLayer) -> Router {
    let layers = ServiceBuilder::new().layer(auth).layer(CompressionLayer::new());
    Router::new().route("/", get(|| async { "sites" })).layer(layers)
}

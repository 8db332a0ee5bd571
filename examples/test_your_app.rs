//! How to test an application of one's own: copy the test below.
//!
//! `cargo test --example test_your_app --features testing`

mod support;

use axum::{Json, Router, routing::get};
use serde_json::Value;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken, api::ApiError};

/// The application under test: a function of the layer, so that tests can give it another one.
fn app(auth: &WebflowAuthLayer) -> Router {
    Router::new().route("/sites", get(sites)).layer(auth.clone())
}

async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
    Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    stage.serve(app(&auth)).await
}

#[cfg(test)]
mod tests {
    use super::app;
    use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, TestBrowser};
    use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer};

    #[tokio::test]
    async fn a_user_connects_webflow_and_sees_the_sites_unless_webflow_is_down() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let redirect_uri = format!("{origin}/auth/webflow/callback");
        let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
        let auth = WebflowAuthLayer::builder()
            .client_id(fake.client_id())
            .client_secret(fake.client_secret())
            .redirect_uri(redirect_uri)
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::generate())
            .endpoints(fake.endpoints())
            .build()
            .unwrap();
        let server = axum::serve(listener, app(&auth));
        tokio::spawn(async move { server.await.unwrap() });

        let mut browser = TestBrowser::new();
        let consent = browser.visit(&format!("{origin}/sites")).await.unwrap();
        let page = browser.press("Authorize", &consent).await.unwrap();
        assert_eq!((page.path(), page.status.as_u16()), ("/sites", 200));

        fake.fail_next(Endpoint::Sites, Fault::Status(500));
        let page = browser.visit(&format!("{origin}/sites")).await.unwrap();
        assert_eq!(page.status.as_u16(), 502);
    }
}

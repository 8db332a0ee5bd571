//! How to test your own application: copy the tests below.
//!
//! `cargo test --example test_your_app --features testing`

mod support;

use axum::{Json, Router, routing::get};
use serde_json::Value;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken, api::ApiError};

/// The application under test, as a function of the layer, so that tests can pass their own.
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
    use super::{app, sites};
    use axum::http::StatusCode;
    use tokio::net::TcpListener;
    use tower_webflow_auth::testing::{Access, Endpoint, FakeWebflow, Fault, TestBrowser};
    use tower_webflow_auth::{Clock, Scope, WebflowToken, api::ApiError};

    /// The application on its own port, and the fake Webflow it uses. `clock` stands still until a
    /// test advances it.
    struct World {
        origin: String,
        webflow: FakeWebflow,
        clock: Clock,
    }

    impl World {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let origin = format!("http://{}", listener.local_addr().unwrap());
            let clock = Clock::manual(std::time::SystemTime::now());
            let webflow = FakeWebflow::builder().clock(clock.clone()).start().await.unwrap();
            let auth = webflow
                .layer(format!("{origin}/auth/webflow/callback"))
                .scopes([Scope::SITES_READ])
                .clock(clock.clone())
                .build()
                .unwrap();
            let server = axum::serve(listener, app(&auth));
            tokio::spawn(async move { server.await.unwrap() });
            Self { origin, webflow, clock }
        }

        fn url(&self, path: &str) -> String {
            format!("{}{path}", self.origin)
        }

        /// Returns a browser whose user has connected Webflow.
        async fn connected(&self) -> TestBrowser {
            let mut browser = TestBrowser::new();
            let consent = browser.visit(&self.url("/sites")).await.unwrap();
            let page = browser.press("Authorize", &consent).await.unwrap();
            assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK));
            browser
        }
    }

    #[tokio::test]
    async fn handler_lists_the_sites_of_its_token() {
        let webflow = FakeWebflow::start().await;
        let token = WebflowToken::for_test([Scope::SITES_READ]).webflow(&webflow).build();
        let answer = sites(token).await.unwrap();
        assert_eq!(answer["sites"][0]["displayName"], "Shop");

        let narrow = WebflowToken::for_test([Scope::CMS_READ]).webflow(&webflow).build();
        let error = sites(narrow).await.unwrap_err();
        assert!(matches!(error, ApiError::Forbidden { .. }), "{error}");
    }

    #[tokio::test]
    async fn user_connects_webflow_and_sees_the_sites() {
        let world = World::start().await;
        let mut browser = world.connected().await;
        let page = browser.visit(&world.url("/sites")).await.unwrap();
        assert!(page.text.contains("\"Shop\""), "{}", page.text);
    }

    #[tokio::test]
    async fn user_who_cancels_sees_a_page_and_can_try_again() {
        let world = World::start().await;
        let mut browser = TestBrowser::new();
        let consent = browser.visit(&world.url("/sites")).await.unwrap();
        let page = browser.press("Cancel", &consent).await.unwrap();
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.text.contains("You did not connect Webflow"), "{}", page.text);
        world.connected().await;
    }

    #[tokio::test]
    async fn user_who_uninstalls_the_app_is_asked_again() {
        let world = World::start().await;
        let mut browser = world.connected().await;
        world.webflow.revoke_everything();
        let page = browser.visit(&world.url("/sites")).await.unwrap();
        assert_eq!(page.path(), "/oauth/authorize");
    }

    #[tokio::test]
    async fn webflow_outage_is_502_and_keeps_the_user_connected() {
        let world = World::start().await;
        let mut browser = world.connected().await;
        world.webflow.fail_always(Endpoint::Sites, Fault::Status(500));
        let page = browser.visit(&world.url("/sites")).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_GATEWAY);
        world.webflow.heal();
        let page = browser.visit(&world.url("/sites")).await.unwrap();
        assert_eq!(page.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn consent_that_takes_an_hour_is_rejected() {
        let world = World::start().await;
        let mut browser = TestBrowser::new();
        let challenge = browser.step(&world.url("/sites")).await.unwrap();
        let link = challenge.location().unwrap();
        let one_site = world.webflow.workspaces()[0].sites()[0].id().to_owned();
        let callback = world.webflow.approve_with(&link, Access::Sites(vec![one_site])).unwrap();
        world.clock.advance(std::time::Duration::from_secs(60 * 60));
        let page = browser.visit(callback.as_str()).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert_eq!(world.webflow.issued_tokens(), 0);
    }
}

//! Creates a layer that uses the fake Webflow.

use super::FakeWebflow;
use crate::config::WebflowAuthBuilder;
use crate::crypto::keyring::Keyring;
use crate::middleware::WebflowAuthLayer;

/// The layer under test.
impl FakeWebflow {
    /// Returns a builder with all required settings: the app's credentials, the fake's endpoints,
    /// all registered scopes and a fresh key. Registers the redirect URI too.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_webflow_auth::{Scope, testing::FakeWebflow};
    ///
    /// let webflow = FakeWebflow::start().await;
    /// let auth = webflow
    ///     .layer("http://127.0.0.1:3000/auth/webflow/callback")
    ///     .scopes([Scope::SITES_READ])
    ///     .build()?;
    /// assert_eq!(auth.callback_path(), "/auth/webflow/callback");
    /// # Ok(()) }
    /// ```
    pub fn layer(&self, redirect_uri: impl Into<String>) -> WebflowAuthBuilder {
        let redirect_uri = redirect_uri.into();
        self.register_redirect_uri(&redirect_uri);
        WebflowAuthLayer::builder()
            .client_id(self.client_id())
            .client_secret(self.client_secret())
            .redirect_uri(redirect_uri)
            .scopes(self.scopes().clone())
            .keyring(Keyring::generate())
            .endpoints(self.endpoints())
    }
}

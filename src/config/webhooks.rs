//! Settings of webhooks.

use secrecy::SecretString;

use super::WebflowAuthBuilder;

/// # Webhooks
impl WebflowAuthBuilder {
    /// Adds a former client secret with which Webflow may still sign webhooks. Repeatable. The
    /// default is none.
    ///
    /// Only [`webhooks`](crate::WebflowAuthLayer::webhooks) uses it. [`build`](Self::build) rejects a
    /// secret of fewer than 16 bytes.
    pub fn previous_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(("previous_client_secret", secret.into()));
        self
    }

    /// Adds the `secretKey` of a webhook that was created with a site's API token. Webflow shows it
    /// once, in the response to the creation. Repeatable. The default is none.
    ///
    /// It is accepted on every route behind [`webhooks`](crate::WebflowAuthLayer::webhooks).
    /// [`build`](Self::build) rejects a secret of fewer than 16 bytes.
    pub fn webhook_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(("webhook_secret", secret.into()));
        self
    }
}

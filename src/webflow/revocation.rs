//! Revocations that did not get through are tried again in the background.

use std::sync::Arc;

use secrecy::SecretString;

use super::WebflowClient;
use crate::util::background::Tasks;

/// Asks Webflow again, later and later. What waits is lost with the process: that was logged.
pub fn retry_later(tasks: &Tasks, webflow: Arc<WebflowClient>, token: SecretString) {
    tasks.retry_later("a revocation", move || {
        let (webflow, token) = (Arc::clone(&webflow), token.clone());
        async move { webflow.revoke(&token).await.is_ok() }
    });
}

//! Revocations that did not get through are tried again in the background.

use std::sync::Arc;

use secrecy::SecretString;

use super::WebflowClient;
use crate::util::background::try_later;

/// Asks Webflow again, later and later. What waits is lost with the process: that was logged.
pub(crate) fn retry_later(webflow: Arc<WebflowClient>, token: SecretString) {
    try_later("a revocation", move || {
        let (webflow, token) = (Arc::clone(&webflow), token.clone());
        async move { webflow.revoke(&token).await.is_ok() }
    });
}

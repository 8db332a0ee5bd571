//! Revocations that did not get through are tried again in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::SecretString;

use super::WebflowClient;

/// How many may wait; past it Webflow has been down for long, and memory matters more.
const MAX_WAITING: usize = 1024;

/// The pauses between the attempts: an hour and a half in all.
const PAUSES_SECS: [u64; 6] = [2, 10, 60, 300, 1200, 3600];

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Asks Webflow again, later and later. What waits is lost with the process: that was logged.
pub(crate) fn retry_later(webflow: Arc<WebflowClient>, token: SecretString) {
    if WAITING.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        tracing::error!("too many revocations wait for Webflow: one is given up");
        return;
    }
    tokio::spawn(async move {
        for pause in PAUSES_SECS {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            if webflow.revoke(&token).await.is_ok() {
                tracing::info!("a revocation that had failed got through");
                break;
            }
        }
        WAITING.fetch_sub(1, Ordering::Relaxed);
    });
}

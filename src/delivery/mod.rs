//! Decides whether a webhook's delivery comes from Webflow, and whether it was already handled.
//!
//! It knows nothing of HTTP.

pub mod handled;
pub mod secrets;
pub mod signature;

use std::sync::Arc;

use handled::Deliveries;
use secrets::Secrets;

/// The state that all webhook layers of one `WebflowAuthLayer` share.
pub struct Webhooks {
    pub secrets: Secrets,
    pub deliveries: Arc<Deliveries>,
}

impl Webhooks {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, deliveries: Arc::default() }
    }
}

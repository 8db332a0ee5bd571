//! What makes a webhook's delivery one of Webflow's, and one that was not handled before.

pub mod handled;
pub mod secrets;
pub mod signature;

use std::sync::Arc;

use handled::Deliveries;
use secrets::Secrets;

/// What all webhook layers of one `WebflowAuthLayer` share.
pub struct Webhooks {
    pub secrets: Secrets,
    pub deliveries: Arc<Deliveries>,
}

impl Webhooks {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, deliveries: Arc::default() }
    }
}

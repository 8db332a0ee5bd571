//! What makes a webhook's delivery one of Webflow's, and one that was not handled before.

pub(crate) mod handled;
pub(crate) mod secrets;
pub(crate) mod signature;

use std::sync::Arc;

use handled::Deliveries;
use secrets::Secrets;

/// What all webhook layers of one `WebflowAuthLayer` share.
pub(crate) struct Webhooks {
    pub(crate) secrets: Secrets,
    pub(crate) deliveries: Arc<Deliveries>,
}

impl Webhooks {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, deliveries: Arc::default() }
    }
}

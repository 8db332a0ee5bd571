//! The app's identity at Webflow.

use std::sync::{Mutex, PoisonError};

/// The app's ID at Webflow, which is not its client ID.
#[derive(Debug, Default)]
pub struct ApplicationId {
    configured: Option<String>,
    learned: Mutex<Option<String>>,
}

impl ApplicationId {
    pub fn new(configured: Option<String>) -> Self {
        Self { configured, learned: Mutex::default() }
    }

    /// Learns the ID from a token that came from a code exchange, which proves that it is this
    /// app's.
    pub fn learn(&self, id: Option<&str>) {
        if let Some(id) = id {
            *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        }
    }

    pub fn known(&self) -> Option<String> {
        let learned = || self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.configured.clone().or_else(learned)
    }
}

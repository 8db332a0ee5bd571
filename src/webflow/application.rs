//! Which app at Webflow this is.

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

    /// Takes the ID from a token that came by an exchange, which proves whose it is.
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

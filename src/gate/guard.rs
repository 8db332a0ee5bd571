//! What one layer requires of a request.

use std::sync::Arc;

use crate::context::Shared;
use crate::grant::scope::Scopes;

/// A layer's share of the whole, and what it demands.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mode: Mode,
}

/// What a layer demands of a request.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// A token, with at least these scopes.
    Required { scopes: Scopes },
    /// Nothing: a token is added when there is one.
    Optional,
}

impl Guard {
    /// The scopes that are demanded beyond the configured ones; mostly none.
    pub(crate) fn scopes(&self) -> Option<&Scopes> {
        match &self.mode {
            Mode::Required { scopes } => Some(scopes).filter(|scopes| !scopes.is_empty()),
            Mode::Optional => None,
        }
    }
}

//! What one layer requires of a request.

use std::sync::Arc;

use crate::context::Context;
use crate::grant::scope::Scopes;

/// The shared state, plus what this layer requires of a request.
#[derive(Debug, Clone)]
pub struct Guard {
    pub context: Arc<Context>,
    pub mode: Mode,
}

#[derive(Debug, Clone)]
pub enum Mode {
    /// A token, with at least these scopes.
    Required { scopes: Scopes },
    /// Nothing. A token is added if there is one.
    Optional,
}

impl Guard {
    /// The scopes that this layer requires beyond the configured ones, if any.
    pub fn scopes(&self) -> Option<&Scopes> {
        match &self.mode {
            Mode::Required { scopes } => Some(scopes).filter(|scopes| !scopes.is_empty()),
            Mode::Optional => None,
        }
    }

    /// The scopes that a challenge of this layer requests.
    pub fn wanted(&self) -> Scopes {
        match self.scopes() {
            Some(scopes) => self.context.scopes.union(scopes),
            None => self.context.scopes.clone(),
        }
    }
}

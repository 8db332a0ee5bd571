//! The secrets that may have signed a delivery.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::deliveries::Deliveries;
use super::signature::{Signature, Timestamp};
use crate::config::ConfigProblem;

/// The shortest secret in bytes; Webflow's have 64.
const MIN_LEN: usize = 16;

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

/// Secrets, the client's own first.
#[derive(Clone)]
pub(crate) struct Secrets(Vec<SecretString>);

impl Secrets {
    pub(crate) fn new(client_secret: SecretString, others: Vec<SecretString>) -> Self {
        let mut secrets = vec![client_secret];
        secrets.extend(others);
        Self(secrets)
    }

    pub(super) fn with(&self, secret: SecretString) -> Self {
        let mut secrets = self.clone();
        secrets.0.push(secret);
        secrets
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them signed the body.
    pub(super) fn signed(&self, signature: &Signature, timestamp: &Timestamp, body: &[u8]) -> bool {
        self.0.iter().any(|secret| signature.is_of(secret, timestamp, body))
    }
}

/// Refuses a secret that is empty or too short to be one.
pub(crate) fn check(setting: &'static str, secret: &SecretString) -> Result<(), ConfigProblem> {
    let secret = secret.expose_secret().trim();
    if secret.len() >= MIN_LEN {
        return Ok(());
    }
    Err(ConfigProblem::Invalid {
        setting,
        problem: if secret.is_empty() {
            "is empty".to_owned()
        } else {
            format!("has fewer than {MIN_LEN} bytes")
        },
        remedy: "give it as Webflow shows it, or leave the setting out",
    })
}

//! The secrets that may have signed a delivery.

use secrecy::{ExposeSecret, SecretString};

use super::signature::{Signature, Timestamp};

/// The shortest secret in bytes; Webflow's have 64.
const MIN_LEN: usize = 16;

/// What to do about a [`problem`].
pub const REMEDY: &str = "give it as Webflow shows it, or leave the setting out";

/// Secrets, the client's own first.
#[derive(Clone)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn new(client_secret: SecretString, others: Vec<SecretString>) -> Self {
        let mut secrets = vec![client_secret];
        secrets.extend(others);
        Self(secrets)
    }

    pub fn with(&self, secret: SecretString) -> Self {
        let mut secrets = self.clone();
        secrets.0.push(secret);
        secrets
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them signed the body.
    pub fn signed(&self, signature: &Signature, timestamp: &Timestamp, body: &[u8]) -> bool {
        self.0.iter().any(|secret| signature.is_of(secret, timestamp, body))
    }
}

/// What is wrong with a secret that is too short to be one.
pub fn problem(secret: &SecretString) -> Option<String> {
    let secret = secret.expose_secret().trim();
    if secret.is_empty() {
        Some("is empty".to_owned())
    } else if secret.len() < MIN_LEN {
        Some(format!("has fewer than {MIN_LEN} bytes"))
    } else {
        None
    }
}

//! The secrets that may have signed a delivery.

use secrecy::{ExposeSecret, SecretString};

use super::signature::{Signature, Timestamp};

/// The shortest accepted secret, in bytes. Webflow's have 64.
const MIN_LEN: usize = 16;

/// The remedy for a [`problem`].
pub const REMEDY: &str = "copy it from Webflow, or remove the setting";

/// The secrets, the client secret first.
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

    /// Whether one of the secrets signed the body.
    pub fn signed(&self, signature: &Signature, timestamp: &Timestamp, body: &[u8]) -> bool {
        self.0.iter().any(|secret| signature.verify(secret, timestamp, body))
    }
}

/// What is wrong with a secret, as a predicate, if it is too short.
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

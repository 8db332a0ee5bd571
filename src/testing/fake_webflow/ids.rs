//! Generates IDs, codes and tokens.

use std::fmt::{self, Write};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Generates unpredictable values.
///
/// Asks the system for randomness once, when `start` can still report a failure. Requests then
/// cannot fail.
pub struct Ids {
    seed: [u8; 32],
    made: AtomicU64,
}

impl Ids {
    pub fn new() -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Self { seed, made: AtomicU64::new(0) })
    }

    /// A fresh value of 64 hexadecimal digits, like Webflow's codes and tokens.
    pub fn secret(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        hex(&Sha256::new().chain_update(self.seed).chain_update(number.to_be_bytes()).finalize())
    }

    /// A fresh ID of 24 hexadecimal digits, like Webflow's.
    pub fn id(&self) -> String {
        let mut id = self.secret();
        id.truncate(24);
        id
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids(..)")
    }
}

/// An ID derived from its parts, so that tests can name it before a server runs.
pub fn id_from(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length prefix makes ["ab", "c"] and ["a", "bc"] differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut id = hex(&hash.finalize());
    id.truncate(24);
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_equal() {
        let (one, other) = (Ids::new().unwrap(), Ids::new().unwrap());
        let made = [one.secret(), one.secret(), other.secret(), other.secret()];
        for (i, secret) in made.iter().enumerate() {
            assert_eq!(secret.len(), 64);
            assert!(!made[i + 1..].contains(secret));
        }
        assert!(!format!("{one:?}").contains(char::is_numeric));
    }

    #[test]
    fn an_identifier_follows_from_its_parts() {
        assert_eq!(id_from(&["a", "b"]), id_from(&["a", "b"]));
        assert_ne!(id_from(&["ab", "c"]), id_from(&["a", "bc"]));
    }
}

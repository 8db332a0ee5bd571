//! The application's encryption keys.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use super::seal::{DerivedKey, MAC_LEN, Purpose};
pub use super::weak_key::Weakness;

use super::random;
use crate::config::{ConfigError, ConfigProblem};

/// The keys that encrypt tokens and sign cookies. The first key encrypts; all keys decrypt.
///
/// Each key has at least 32 bytes. HKDF-SHA-256 (RFC 5869) derives a separate key for each use. To
/// rotate, put the new key first, and remove the old one once nothing it encrypted is still needed.
/// After a key is lost, users are asked for consent again; nothing worse happens.
///
/// Clones share the keys. `Debug` prints only their number. The keys are wiped from memory when the
/// last clone is dropped.
///
/// ```
/// use tower_webflow_auth::Keyring;
///
/// // Once, at the command line: `openssl rand -base64 32`, or
/// let key = Keyring::generate_base64();
/// // and from then on, from the configuration:
/// let keyring = Keyring::from_base64(&key)?;
/// # Ok::<(), tower_webflow_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<[DerivedKey]>,
    /// The worst weakness found in any key, and the number of that key, counted from 1.
    weakness: Option<(Weakness, usize)>,
}

/// The documentation's example key, rejected so that nobody runs with it.
const EXAMPLE_KEY: &[u8] = b"example key: make your own one, with openssl rand -base64 32";

const SETTING: &str = "keyring (WEBFLOW_AUTH_KEY)";
const MAKE_ONE: &str = "create one with `openssl rand -base64 32` and keep it secret";

impl Keyring {
    /// The minimum length of a key, in bytes.
    pub const MIN_KEY_LEN: usize = 32;

    /// Reads base64 keys (standard or URL-safe alphabet, with or without padding), separated by
    /// commas, newest first.
    ///
    /// # Errors
    /// [`ConfigError`] with every key that is not base64, is shorter than
    /// [`MIN_KEY_LEN`](Self::MIN_KEY_LEN), is all zeros, or is the documentation's example.
    pub fn from_base64(keys: &str) -> Result<Self, ConfigError> {
        let mut decoded = Vec::new();
        let mut problems = Vec::new();
        for (i, key) in keys.split(',').map(str::trim).enumerate() {
            match decode(key).ok_or("is not base64").and_then(check) {
                Ok(key) => decoded.push(key),
                Err(problem) => problems.push(ConfigProblem::Invalid {
                    setting: SETTING,
                    problem: format!("number {} {problem}", i + 1),
                    remedy: MAKE_ONE,
                }),
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::from_problems(problems));
        }
        let numbered = decoded.iter().zip(1..);
        let weakness =
            numbered.filter_map(|(key, i)| Some((super::weak_key::find_weakness(key)?, i))).max();
        Ok(Self { keys: decoded.iter().map(derive).collect(), weakness })
    }

    /// Creates a key ring from one key of raw bytes.
    ///
    /// # Errors
    /// [`ConfigError`], as for [`from_base64`](Self::from_base64).
    pub fn from_bytes(key: &[u8]) -> Result<Self, ConfigError> {
        let key =
            check(Zeroizing::new(key.to_vec())).map_err(|problem| ConfigProblem::Invalid {
                setting: SETTING,
                problem: problem.to_owned(),
                remedy: MAKE_ONE,
            })?;
        let weakness = super::weak_key::find_weakness(&key).map(|weakness| (weakness, 1));
        Ok(Self { keys: [derive(&key)].into(), weakness })
    }

    /// Creates a random key for tests and demos. What it encrypts is lost with the process.
    pub fn generate() -> Self {
        let key = Zeroizing::new(random::bytes::<32>()[..].to_vec());
        Self { keys: [derive(&key)].into(), weakness: Some((Weakness::Generated, 1)) }
    }

    /// Creates a random key in base64, to be put into a configuration.
    pub fn generate_base64() -> String {
        let key = Zeroizing::new(random::bytes::<32>());
        STANDARD_NO_PAD.encode(key.as_slice())
    }

    /// All derived keys, newest first.
    pub(crate) fn keys(&self) -> &[DerivedKey] {
        &self.keys
    }

    /// The worst weakness found in any key, and the number of that key, counted from 1.
    pub(crate) const fn weakness(&self) -> Option<(Weakness, usize)> {
        self.weakness
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

fn decode(key: &str) -> Option<Zeroizing<Vec<u8>>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if key.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, config).decode(key).ok().map(Zeroizing::new)
}

fn check(key: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    if key.as_slice() == EXAMPLE_KEY {
        Err("is the example from the documentation")
    } else if key.len() < Keyring::MIN_KEY_LEN {
        Err("is shorter than 32 bytes")
    } else if key.iter().all(|&byte| byte == 0) {
        Err("is all zeros")
    } else {
        Ok(key)
    }
}

fn derive(key: &Zeroizing<Vec<u8>>) -> DerivedKey {
    DerivedKey::from_hkdf(&Hkdf::<Sha256>::new(Some(b"tower-webflow-auth v1"), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k4_all_weak_keys_are_rejected_and_named() {
        let short = STANDARD_NO_PAD.encode([7; 31]);
        let zero = STANDARD_NO_PAD.encode([0; 32]);
        let example = STANDARD_NO_PAD.encode(EXAMPLE_KEY);
        let keys = format!("{short},{zero},{example},not base64!,");
        let problems = Keyring::from_base64(&keys).unwrap_err().into_problems();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems.iter().all(|p| !p.to_string().contains(&short)));
    }

    #[test]
    fn both_base64_alphabets_work_with_and_without_padding() {
        let key = [0xfb; 32];
        let standard = base64::engine::general_purpose::STANDARD.encode(key);
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key);
        assert_ne!(standard, url);
        let sealed = Keyring::from_base64(&standard).unwrap().seal(Purpose::Token, b"", b"x");
        let opened = Keyring::from_base64(&url).unwrap().open(Purpose::Token, b"", &sealed);
        assert_eq!(opened.unwrap().as_slice(), b"x");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Keyring::generate()), "Keyring(1 keys)");
    }
}

//! The application's one secret, and the keys that derive from it.

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
pub use super::weak_key::Doubt;

use super::random;
use crate::config::{ConfigError, ConfigProblem};

/// The secrets that seal tokens and cookies: the first seals, all of them open.
///
/// Each key has at least 32 bytes; everything else derives from it (HKDF-SHA-256, RFC 5869, one
/// key for each use). To roll a key, put the new one in front; drop the old one when what it
/// sealed may be lost. Losing a key means that users are asked for consent again, nothing worse.
///
/// Clones share the keys; `Debug` shows how many there are; the keys are wiped from memory with
/// the last clone.
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
    /// The worst doubt there is about one of the keys, and which key it is, counted from 1.
    doubt: Option<(Doubt, usize)>,
}

/// What the documentation shows where a key goes, so that nobody can run with it.
const EXAMPLE_KEY: &[u8] = b"example key: make your own one, with openssl rand -base64 32";

const SETTING: &str = "keyring (WEBFLOW_AUTH_KEY)";
const MAKE_ONE: &str = "make one with `openssl rand -base64 32`, and keep it secret";

impl Keyring {
    /// The shortest key, in bytes.
    pub const MIN_KEY_LEN: usize = 32;

    /// Keys in base64 (standard or URL alphabet, padded or not), separated by commas, newest
    /// first.
    ///
    /// # Errors
    /// [`ConfigError`] listing every key that is not base64, is shorter than
    /// [`MIN_KEY_LEN`](Self::MIN_KEY_LEN), is all zero, or is an example out of the documentation.
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
            return Err(ConfigError::of(problems));
        }
        let doubts = decoded.iter().zip(1..);
        let doubt = doubts.filter_map(|(key, i)| Some((super::weak_key::doubt(key)?, i))).max();
        Ok(Self { keys: decoded.iter().map(derive).collect(), doubt })
    }

    /// A key ring with one key of raw bytes.
    ///
    /// # Errors
    /// [`ConfigError`] as with [`from_base64`](Self::from_base64).
    pub fn from_bytes(key: &[u8]) -> Result<Self, ConfigError> {
        let key =
            check(Zeroizing::new(key.to_vec())).map_err(|problem| ConfigProblem::Invalid {
                setting: SETTING,
                problem: problem.to_owned(),
                remedy: MAKE_ONE,
            })?;
        let doubt = super::weak_key::doubt(&key).map(|doubt| (doubt, 1));
        Ok(Self { keys: [derive(&key)].into(), doubt })
    }

    /// A fresh random key, for tests and demos: what it sealed is lost with the process.
    pub fn generate() -> Self {
        let key = Zeroizing::new(random::bytes::<32>()[..].to_vec());
        Self { keys: [derive(&key)].into(), doubt: Some((Doubt::Generated, 1)) }
    }

    /// A fresh random key in base64, to be put into a configuration.
    pub fn generate_base64() -> String {
        let key = Zeroizing::new(random::bytes::<32>());
        STANDARD_NO_PAD.encode(key.as_slice())
    }

    /// The keys of one use, newest first.
    pub(crate) fn keys(&self) -> &[DerivedKey] {
        &self.keys
    }

    /// What speaks against one of the keys, and which it is, counted from 1.
    pub(crate) const fn doubt(&self) -> Option<(Doubt, usize)> {
        self.doubt
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
        Err("is the example out of the documentation")
    } else if key.len() < Keyring::MIN_KEY_LEN {
        Err("is shorter than 32 bytes")
    } else if key.iter().all(|&byte| byte == 0) {
        Err("is all zero")
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
    fn k4_weak_keys_are_refused_and_all_of_them_are_named() {
        let short = STANDARD_NO_PAD.encode([7; 31]);
        let zero = STANDARD_NO_PAD.encode([0; 32]);
        let example = STANDARD_NO_PAD.encode(EXAMPLE_KEY);
        let keys = format!("{short},{zero},{example},not base64!,");
        let problems = Keyring::from_base64(&keys).unwrap_err().into_problems();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems.iter().all(|p| !p.to_string().contains(&short)));
    }

    #[test]
    fn both_alphabets_open_the_same_things_with_and_without_padding() {
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

//! The bearer: a sealed panel session, bound to one version of one grant.
//!
//! The text is `wfp_` and the base64url of JSON, sealed with a key derived for this purpose. The
//! session cookie's name and the client ID are associated data, so a bearer is invalid at another
//! app.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::session::PanelSession;
use crate::crypto::keyring::{Keyring, Purpose};
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::store::{TokenKey, TokenVersion};

pub const PREFIX: &str = "wfp_";

/// The longest bearer. Servers commonly reject more than 8 KiB of headers.
const MAX_LEN: usize = 4096;

/// A bearer that this application has issued.
pub struct Bearer {
    /// The text that a panel presents.
    pub text: Zeroizing<Vec<u8>>,
    pub session: PanelSession,
    /// The grant that resolved the ID token.
    pub key: TokenKey,
    version: TokenVersion,
    pub expires_unix_secs: u64,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    #[serde(rename = "u")]
    user: WebflowUser,
    #[serde(rename = "s")]
    site_id: String,
    #[serde(rename = "k")]
    key: TokenKey,
    #[serde(rename = "v")]
    version: TokenVersion,
    #[serde(rename = "e")]
    expires_unix_secs: u64,
}

/// Seals a session. `None` if the text would be longer than [`MAX_LEN`].
pub fn seal(
    session: &PanelSession,
    token: &WebflowToken,
    expires_unix_secs: u64,
    binding: &str,
    keyring: &Keyring,
) -> Option<String> {
    let grant = token.grant();
    let plain = Plain {
        user: session.user.clone(),
        site_id: session.site_id.clone(),
        key: grant.key.clone(),
        version: grant.version,
        expires_unix_secs,
    };
    let json = serde_json::to_vec(&plain).ok()?;
    let sealed = keyring.seal(Purpose::Bearer, binding.as_bytes(), &json);
    let mut text = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(sealed, &mut text);
    (text.len() <= MAX_LEN).then_some(text)
}

impl Bearer {
    /// Opens a bearer. `None` unless a key of the ring sealed it for this app and it has not
    /// expired.
    pub fn open(text: &[u8], binding: &str, keyring: &Keyring, now: u64) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX.as_bytes())?).ok()?;
        let json = keyring.open(Purpose::Bearer, binding.as_bytes(), &sealed)?;
        let Plain { user, site_id, key, version, expires_unix_secs } =
            serde_json::from_slice(&json).ok()?;
        let text = Zeroizing::new(text.to_vec());
        let session = PanelSession { user, site_id };
        let bearer = Self { text, session, key, version, expires_unix_secs };
        bearer.is_valid(now).then_some(bearer)
    }

    pub const fn is_valid(&self, now: u64) -> bool {
        now < self.expires_unix_secs
    }

    /// Whether the bearer was issued for this version of the grant, not for one that it replaced.
    pub fn was_issued_for(&self, token: &WebflowToken) -> bool {
        let grant = token.grant();
        grant.version == self.version && grant.key == self.key
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;

    const BINDING: &str = "webflow-session\0client\0";

    fn session() -> PanelSession {
        let user = WebflowUser { id: Some("u".into()), ..WebflowUser::default() };
        PanelSession { user, site_id: "site".into() }
    }

    fn bearer(keyring: &Keyring) -> (String, WebflowToken) {
        let token = WebflowToken::for_test([]).build();
        (seal(&session(), &token, 1000, BINDING, keyring).unwrap(), token)
    }

    fn opens(text: &str, keyring: &Keyring, binding: &str, now: u64) -> bool {
        Bearer::open(text.as_bytes(), binding, keyring, now).is_some()
    }

    #[test]
    fn b2_a_bearer_opens_until_it_expires() {
        let keyring = Keyring::generate();
        let (text, token) = bearer(&keyring);
        let opened = Bearer::open(text.as_bytes(), BINDING, &keyring, 999).unwrap();
        assert_eq!(opened.session, session());
        assert!(opened.was_issued_for(&token));
        let older = WebflowToken::for_test([]).obtained_at(std::time::UNIX_EPOCH);
        assert!(!opened.was_issued_for(&older.build()), "another version");
        assert!(!opens(&text, &keyring, BINDING, 1000));
    }

    #[test]
    fn b2_a_bearer_of_another_key_or_app_does_not_open() {
        let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
        let both = Keyring::from_base64(&format!("{new},{old}")).unwrap();
        let (old, new) = (Keyring::from_base64(&old).unwrap(), Keyring::from_base64(&new).unwrap());
        let (text, _) = bearer(&old);
        assert!(opens(&text, &both, BINDING, 0), "an old key still opens");
        assert!(!opens(&text, &new, BINDING, 0), "its key was dropped");
        for binding in ["webflow-session\0other\0", "webflow.a.session\0client\0", ""] {
            assert!(!opens(&text, &both, binding, 0));
        }
    }

    #[test]
    fn b2_no_bit_of_a_bearer_can_be_changed() {
        let keyring = Keyring::generate();
        let (text, _) = bearer(&keyring);
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Bearer::open(&changed, BINDING, &keyring, 0).is_none(), "bit {bit}");
        }
        for cut in 0..text.len() {
            assert!(!opens(&text[..cut], &keyring, BINDING, 0), "{cut}");
        }
        for odd in [format!("{text}A"), format!("{text}="), text.to_uppercase(), "x".repeat(9999)] {
            assert!(!opens(&odd, &keyring, BINDING, 0));
        }
    }

    #[test]
    fn b2_a_value_sealed_for_another_purpose_is_not_a_bearer() {
        let keyring = Keyring::generate();
        let plain = br#"{"u":{},"s":"s","k":{"subject":"user:1","grant":"g"},"v":1,"e":9}"#;
        let text = |purpose| {
            let sealed = keyring.seal(purpose, BINDING.as_bytes(), plain);
            format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed))
        };
        assert!(opens(&text(Purpose::Bearer), &keyring, BINDING, 0));
        assert!(!opens(&text(Purpose::Flow), &keyring, BINDING, 0));
        assert!(!opens(&text(Purpose::Token), &keyring, BINDING, 0));
    }

    #[test]
    fn a_session_too_long_for_a_header_is_not_sealed() {
        let token = WebflowToken::for_test([]).build();
        let mut long = session();
        long.user.email = Some("x".repeat(4000));
        assert!(seal(&long, &token, 1000, BINDING, &Keyring::generate()).is_none());
    }
}

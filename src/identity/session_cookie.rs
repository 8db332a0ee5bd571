//! The session cookie: the signed name of a browser-session subject, never the token.
//!
//! The value is base64url of `format (1) | expiry, Unix seconds (8) | session id (32) | MAC (32)`.
//! The MAC covers the cookie's name too, so that a value of the cookie without the `__Host-`
//! prefix is worth nothing under the name with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::keyring::{Keyring, MAC_LEN};

const FORMAT: u8 = 1;
const ID_LEN: usize = 32;
const CONTENT_LEN: usize = 1 + 8 + ID_LEN;

/// A session cookie's content, once its signature was found good.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The session's id: 256 random bits in base64url.
    pub(crate) id: String,
    /// When the session ends, by the server's clock.
    pub(crate) expires_unix_secs: u64,
}

impl Session {
    /// The cookie's value; `None` if the id is not 32 bytes of base64url.
    pub(crate) fn sign(&self, name: &str, keyring: &Keyring) -> Option<String> {
        let id = URL_SAFE_NO_PAD.decode(&self.id).ok().filter(|id| id.len() == ID_LEN)?;
        let content =
            [&[FORMAT][..], &self.expires_unix_secs.to_be_bytes(), id.as_slice()].concat();
        let tag = keyring.sign_session(&[name.as_bytes(), &content].concat());
        Some(URL_SAFE_NO_PAD.encode([content.as_slice(), &tag].concat()))
    }

    /// The session of a cookie's value; `None` if it is not signed by the ring, or over.
    pub(crate) fn verify(name: &str, value: &str, keyring: &Keyring, now: u64) -> Option<Self> {
        if value.len() > (CONTENT_LEN + MAC_LEN) * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (content, tag) = bytes.split_at_checked(CONTENT_LEN)?;
        if tag.len() != MAC_LEN
            || !keyring.verify_session(&[name.as_bytes(), content].concat(), tag)
        {
            return None;
        }
        let (&format, rest) = content.split_first()?;
        let (expiry, id) = rest.split_first_chunk::<8>()?;
        let expires_unix_secs = u64::from_be_bytes(*expiry);
        (format == FORMAT && now < expires_unix_secs)
            .then(|| Self { id: URL_SAFE_NO_PAD.encode(id), expires_unix_secs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random;
    use proptest::prelude::*;

    fn session() -> Session {
        Session { id: random::token_256(), expires_unix_secs: 1000 }
    }

    #[test]
    fn c6_a_session_ends_when_its_cookie_says_by_the_servers_clock() {
        let ring = Keyring::generate();
        let value = session().sign("n", &ring).unwrap();
        assert!(Session::verify("n", &value, &ring, 999).is_some());
        assert!(Session::verify("n", &value, &ring, 1000).is_none());
    }

    /// Made by another implementation of HKDF and HMAC (Python's).
    #[test]
    fn k1_what_an_earlier_version_signed_is_still_good() {
        const VALUE: &str = "AQAAAAAAAAPoAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8k1Iewvg_zy0su\
                             Y1J6x7cefo1ldabGfvtRq05IKofDGA";
        let ring = Keyring::from_bytes(&[9; 32]).unwrap();
        let session = Session::verify("__Host-webflow-session", VALUE, &ring, 999).unwrap();
        assert_eq!(session.expires_unix_secs, 1000);
        assert_eq!(session.id, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(session.sign("__Host-webflow-session", &ring).as_deref(), Some(VALUE));
    }

    #[test]
    fn s7_no_bit_of_a_session_cookie_can_be_changed() {
        let ring = Keyring::generate();
        let value = session().sign("n", &ring).unwrap();
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(Session::verify("n", &changed, &ring, 0).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn s17_an_id_that_is_not_256_bits_is_not_signed() {
        let ring = Keyring::generate();
        for id in ["", "AAAA", "no base64!", &"A".repeat(44), &random::token_256()[..42]] {
            let session = Session { id: id.to_owned(), expires_unix_secs: 1000 };
            assert_eq!(session.sign("n", &ring), None, "{id}");
        }
    }

    #[test]
    fn s7_a_cookie_of_another_format_is_none_though_its_signature_is_good() {
        let ring = Keyring::generate();
        let mut content = vec![FORMAT + 1];
        content.extend([0xff; 8 + ID_LEN]);
        let tag = ring.sign_session(&[b"n", &content[..]].concat());
        let value = URL_SAFE_NO_PAD.encode([&content[..], &tag].concat());
        assert!(Session::verify("n", &value, &ring, 0).is_none());
    }

    #[test]
    fn the_name_is_bound_in() {
        let ring = Keyring::generate();
        let value = session().sign("webflow-session", &ring).unwrap();
        assert!(Session::verify("__Host-webflow-session", &value, &ring, 0).is_none());
    }

    proptest! {
        #[test]
        fn s7_no_changed_character_is_accepted(at: prop::sample::Index, to: char) {
            let ring = Keyring::from_bytes(&[1; 32]).unwrap();
            let value = session().sign("n", &ring).unwrap();
            let mut characters: Vec<_> = value.chars().collect();
            let i = at.index(characters.len());
            prop_assume!(characters[i] != to);
            characters[i] = to;
            let changed: String = characters.into_iter().collect();
            prop_assert!(Session::verify("n", &changed, &ring, 0).is_none());
            prop_assert!(Session::verify("n", &value[..i], &ring, 0).is_none());
            let longer = value.clone() + "A";
            prop_assert!(Session::verify("n", &longer, &ring, 0).is_none());
        }
    }
}

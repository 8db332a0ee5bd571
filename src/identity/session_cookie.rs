//! The session cookie: the signed ID of a browser session, never the token.
//!
//! The value is `<session id>.<base64url of format (1) | beginning (8) | expiry (8) | MAC (32)>`,
//! with times in Unix seconds. The ID comes first and is not encoded again, so that a cached
//! session is found without decoding. The MAC also covers the cookie's name and the client ID, so a
//! value is invalid under another name or for another app.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::keyring::{Keyring, MAC_LEN};

const FORMAT: u8 = 2;
/// 32 bytes in base64url.
pub const SESSION_ID_LEN: usize = 43;
const TIMES_LEN: usize = 1 + 8 + 8;

/// The content of a session cookie whose signature is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session ID: 256 random bits in base64url.
    pub id: String,
    /// When the session began, by the server's clock.
    pub began_unix_secs: u64,
    /// When the session expires, by the server's clock.
    pub expires_unix_secs: u64,
    /// Whether an older key of the ring signed the cookie.
    pub has_old_key: bool,
}

impl Session {
    /// Returns the cookie's value, or `None` if the ID is not 32 bytes of base64url.
    pub fn sign(&self, binding: &str, keyring: &Keyring) -> Option<String> {
        session_id(&self.id).filter(|id| *id == self.id)?;
        let mut content = Vec::with_capacity(TIMES_LEN + MAC_LEN);
        content.push(FORMAT);
        content.extend_from_slice(&self.began_unix_secs.to_be_bytes());
        content.extend_from_slice(&self.expires_unix_secs.to_be_bytes());
        let tag = keyring.sign_session(&message(binding, &self.id, &content));
        content.extend_from_slice(&tag);
        Some(format!("{}.{}", self.id, URL_SAFE_NO_PAD.encode(content)))
    }

    /// Returns the session of a cookie value, or `None` unless a key of the ring signed it and it
    /// has not expired.
    pub fn verify(binding: &str, value: &str, keyring: &Keyring, now: u64) -> Option<Self> {
        let id = session_id(value)?;
        let rest = value.get(SESSION_ID_LEN..)?.strip_prefix('.')?;
        if rest.len() > (TIMES_LEN + MAC_LEN) * 2 {
            return None;
        }
        let content = URL_SAFE_NO_PAD.decode(rest).ok()?;
        let (times, tag) = content.split_at_checked(TIMES_LEN)?;
        if tag.len() != MAC_LEN {
            return None;
        }
        let key = keyring.session_key(&message(binding, id, times), tag)?;
        let (&format, times) = times.split_first()?;
        let (began, expires) = times.split_first_chunk::<8>()?;
        let expires_unix_secs = u64::from_be_bytes(*expires.first_chunk::<8>()?);
        (format == FORMAT && now < expires_unix_secs).then(|| Self {
            id: id.to_owned(),
            began_unix_secs: u64::from_be_bytes(*began),
            expires_unix_secs,
            has_old_key: key > 0,
        })
    }

    /// When the cookie is due for renewal, in Unix seconds. `u64::MAX` if it is not renewed.
    pub fn slides_at(&self, sliding: Sliding) -> u64 {
        let Sliding { lifetime, max_lifetime } = sliding;
        let end = self.began_unix_secs.saturating_add(max_lifetime);
        let written_by_other_settings = self.expires_unix_secs > end.saturating_add(MAX_SKEW);
        if written_by_other_settings {
            return u64::MAX;
        }
        if self.has_old_key {
            return 0;
        }
        // A renewal must extend the session by at least a day, but not beyond its end.
        let worth = self.expires_unix_secs.saturating_add(A_DAY);
        if worth > end { u64::MAX } else { worth.saturating_sub(lifetime) }
    }

    /// The renewed session, or `None` if it is not due for renewal.
    pub fn slide(&self, now: u64, sliding: Sliding) -> Option<Self> {
        let latest = now.saturating_add(sliding.lifetime);
        let plausible = self.began_unix_secs <= now.saturating_add(MAX_SKEW)
            && self.expires_unix_secs <= latest.saturating_add(MAX_SKEW);
        if !plausible || now < self.slides_at(sliding) {
            return None;
        }
        let end = self.began_unix_secs.saturating_add(sliding.max_lifetime);
        let expires_unix_secs = latest.min(end);
        (expires_unix_secs > now).then(|| Self {
            id: self.id.clone(),
            began_unix_secs: self.began_unix_secs,
            expires_unix_secs,
            has_old_key: false,
        })
    }
}

/// How long a session lasts, in seconds: after its last renewal, and in total.
#[derive(Debug, Clone, Copy)]
pub struct Sliding {
    pub lifetime: u64,
    pub max_lifetime: u64,
}

const A_DAY: u64 = 24 * 60 * 60;

/// Tolerated clock difference between instances, in seconds.
const MAX_SKEW: u64 = 60;

/// The ID at the start of a cookie's value, unverified.
fn session_id(value: &str) -> Option<&str> {
    let id = value.get(..SESSION_ID_LEN)?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    plain.then_some(id)
}

fn message(binding: &str, id: &str, times: &[u8]) -> Vec<u8> {
    // All parts have a fixed length, so no byte can move from one to another.
    [binding.as_bytes(), id.as_bytes(), times].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random;
    use proptest::prelude::*;

    fn session() -> Session {
        Session {
            id: random::token_256(),
            began_unix_secs: 500,
            expires_unix_secs: 1000,
            has_old_key: false,
        }
    }

    #[test]
    fn c6_a_session_expires_by_the_servers_clock() {
        let ring = Keyring::generate();
        let value = session().sign("n", &ring).unwrap();
        assert!(Session::verify("n", &value, &ring, 999).is_some());
        assert!(Session::verify("n", &value, &ring, 1000).is_none());
    }

    /// Created by another implementation of HKDF and HMAC (Python's).
    #[test]
    fn k1_signatures_of_an_earlier_version_are_valid() {
        const VALUE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8.AgAAAAAAAAH0AAAAAAAAA-geT_\
                             PpNVTHvcPNZx1Px9xc-M0zI8PatfIxId1Ec1n47w";
        let ring = Keyring::from_bytes(&[9; 32]).unwrap();
        let session = Session::verify("__Host-webflow-session", VALUE, &ring, 999).unwrap();
        assert_eq!((session.began_unix_secs, session.expires_unix_secs), (500, 1000));
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

    mod i4_sliding {
        use super::*;

        const DAY: u64 = 24 * 60 * 60;
        const SLIDING: Sliding = Sliding { lifetime: 30 * DAY, max_lifetime: 365 * DAY };
        const BEGIN: u64 = 1_000 * DAY;

        fn session(expires: u64) -> Session {
            Session { began_unix_secs: BEGIN, expires_unix_secs: expires, ..super::session() }
        }

        #[test]
        fn a_cookie_is_renewed_when_that_adds_a_day() {
            let fresh = session(BEGIN + 30 * DAY);
            assert_eq!(fresh.slide(BEGIN + DAY - 1, SLIDING), None);
            let slid = fresh.slide(BEGIN + DAY, SLIDING).unwrap();
            assert_eq!((slid.began_unix_secs, slid.expires_unix_secs), (BEGIN, BEGIN + 31 * DAY));
            assert_eq!(slid.id, fresh.id);
        }

        #[test]
        fn a_session_ends_at_its_maximum() {
            let late = session(BEGIN + 364 * DAY);
            let slid = late.slide(BEGIN + 340 * DAY, SLIDING).unwrap();
            assert_eq!(slid.expires_unix_secs, BEGIN + 365 * DAY);
            let last = session(BEGIN + 365 * DAY - 1);
            assert_eq!(last.slide(BEGIN + 350 * DAY, SLIDING), None);
        }

        #[test]
        fn a_cookie_signed_with_an_old_key_is_renewed_immediately() {
            let old = Session { has_old_key: true, ..session(BEGIN + 30 * DAY) };
            assert!(old.slide(BEGIN, SLIDING).is_some());
            let expired = Session { has_old_key: true, ..session(BEGIN + 400 * DAY) };
            assert_eq!(expired.slide(BEGIN + 390 * DAY, SLIDING), None);
        }

        #[test]
        fn times_of_another_configuration_are_not_renewed() {
            assert_eq!(session(BEGIN + 40 * DAY).slide(BEGIN + 5 * DAY, SLIDING), None);
            let ahead = session(BEGIN + 30 * DAY);
            assert_eq!(ahead.slide(BEGIN - 61, SLIDING), None);
        }
    }

    #[test]
    fn s17_an_id_that_is_not_256_bits_is_not_signed() {
        let ring = Keyring::generate();
        for id in ["", "AAAA", "no base64!", &"A".repeat(44), &random::token_256()[..42]] {
            let session = Session { id: id.to_owned(), ..session() };
            assert_eq!(session.sign("n", &ring), None, "{id}");
        }
    }

    #[test]
    fn s7_a_signed_cookie_of_another_format_is_rejected() {
        let ring = Keyring::generate();
        let id = random::token_256();
        let mut content = vec![FORMAT + 1];
        content.extend([0xff; 16]);
        let tag = ring.sign_session(&message("n", &id, &content));
        let value = format!("{id}.{}", URL_SAFE_NO_PAD.encode([&content[..], &tag].concat()));
        assert!(Session::verify("n", &value, &ring, 0).is_none());
    }

    #[test]
    fn the_cookie_name_is_authenticated() {
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

//! Encryption (AEAD) and signatures (MAC) with the keys of a [`Keyring`].
//!
//! A sealed value is `format (1) | key id (4) | nonce (24) | ciphertext | tag (16)`, encrypted with
//! XChaCha20-Poly1305, whose nonce is long enough to be random for any number of messages. The
//! format byte, the key ID and the caller's context are associated data; the purpose selects the
//! key. The key ID only says which key to try; it does not authenticate anything.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keyring::Keyring;
use super::random;

/// What a key is used for. Each purpose has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Grants in the store.
    Token,
    /// Flow cookies.
    Flow,
    /// Bearers of panels.
    #[cfg(feature = "panels")]
    Bearer,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Token => b"token",
            Self::Flow => b"flow cookie",
            #[cfg(feature = "panels")]
            Self::Bearer => b"panel bearer",
        }
    }
}

const FORMAT: u8 = 1;
const ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;
const HEADER_LEN: usize = 1 + ID_LEN;

/// Length of a MAC in bytes.
pub const MAC_LEN: usize = 32;

/// The keys derived from one key of the ring.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DerivedKey {
    id: [u8; ID_LEN],
    token: [u8; 32],
    flow: [u8; 32],
    session: [u8; 32],
    #[cfg(feature = "panels")]
    bearer: [u8; 32],
}

impl DerivedKey {
    pub fn from_hkdf(hkdf: &Hkdf<Sha256>) -> Self {
        let mut key = Self {
            id: [0; ID_LEN],
            token: [0; 32],
            flow: [0; 32],
            session: [0; 32],
            #[cfg(feature = "panels")]
            bearer: [0; 32],
        };
        expand(hkdf, b"key id", &mut key.id);
        expand(hkdf, Purpose::Token.label(), &mut key.token);
        expand(hkdf, Purpose::Flow.label(), &mut key.flow);
        expand(hkdf, b"session cookie", &mut key.session);
        #[cfg(feature = "panels")]
        expand(hkdf, Purpose::Bearer.label(), &mut key.bearer);
        key
    }

    const fn secret(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::Token => &self.token,
            Purpose::Flow => &self.flow,
            #[cfg(feature = "panels")]
            Purpose::Bearer => &self.bearer,
        }
    }

    fn session_mac(&self, message: &[u8]) -> Option<Hmac<Sha256>> {
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.session).ok().map(|mut mac| {
            mac.update(message);
            mac
        })
    }
}

#[expect(clippy::expect_used, reason = "the lengths are constants far below HKDF's limit")]
fn expand(hkdf: &Hkdf<Sha256>, info: &[u8], out: &mut [u8]) {
    hkdf.expand(info, out).expect("the length is constant and short");
}

impl Keyring {
    /// Seals `plain` with the newest key, bound to `purpose` and `context`.
    pub(crate) fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let Some(key) = self.keys().first() else {
            return Vec::new();
        };
        let mut sealed = Vec::with_capacity(HEADER_LEN + NONCE_LEN + plain.len() + 16);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id);
        let aad = associated_data(&sealed, context);
        let nonce = random::bytes::<NONCE_LEN>();
        sealed.extend_from_slice(&nonce);
        let cipher = XChaCha20Poly1305::new(key.secret(purpose).into());
        // Encryption fails only for messages of hundreds of GiB. An empty value never decrypts.
        cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad }).map_or_else(
            |_| Vec::new(),
            |ciphertext| {
                sealed.extend_from_slice(&ciphertext);
                sealed
            },
        )
    }

    /// Decrypts a value that any key of the ring sealed for this purpose and context, or returns
    /// `None`.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (header, rest) = sealed.split_at_checked(HEADER_LEN)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN)?;
        let (&format, id) = header.split_first()?;
        if format != FORMAT {
            return None;
        }
        let nonce = XNonce::try_from(nonce).ok()?;
        let aad = associated_data(header, context);
        self.keys().iter().filter(|key| key.id == id).find_map(|key| {
            let cipher = XChaCha20Poly1305::new(key.secret(purpose).into());
            let payload = Payload { msg: ciphertext, aad: &aad };
            cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new)
        })
    }

    /// Whether a sealed value names the newest key.
    pub(crate) fn is_newest(&self, sealed: &[u8]) -> bool {
        let id = sealed.strip_prefix(&[FORMAT]).and_then(|rest| rest.first_chunk::<ID_LEN>());
        self.keys().first().is_some_and(|key| id == Some(&key.id))
    }

    /// The newest key's MAC over the content of a session cookie.
    pub(crate) fn sign_session(&self, message: &[u8]) -> [u8; MAC_LEN] {
        self.keys()
            .first()
            .and_then(|key| key.session_mac(message))
            .map_or([0; MAC_LEN], |mac| mac.finalize().into_bytes().into())
    }

    /// The index of the key that created this MAC, 0 for the newest. Compares in constant time.
    pub(crate) fn session_key(&self, message: &[u8], tag: &[u8]) -> Option<usize> {
        self.keys().iter().position(|key| {
            key.session_mac(message).is_some_and(|mac| mac.verify_slice(tag).is_ok())
        })
    }
}

fn associated_data(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(bytes: &[u8]) -> Keyring {
        Keyring::from_bytes(bytes).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_purpose_and_context_only() {
        let ring = ring(&[1; 32]);
        let sealed = ring.seal(Purpose::Token, b"ada", b"secret");
        assert_eq!(ring.open(Purpose::Token, b"ada", &sealed).unwrap().as_slice(), b"secret");
        assert!(ring.open(Purpose::Flow, b"ada", &sealed).is_none());
        assert!(ring.open(Purpose::Token, b"bob", &sealed).is_none());
        assert!(ring.open(Purpose::Token, b"ada", b"").is_none());
        assert_ne!(sealed, ring.seal(Purpose::Token, b"ada", b"secret"), "the nonce is fresh");
    }

    #[test]
    fn k1_a_rotated_key_still_opens_and_a_dropped_one_does_not() {
        let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
        let both = Keyring::from_base64(&format!("{new},{old}")).unwrap();
        let (old, new) = (Keyring::from_base64(&old).unwrap(), Keyring::from_base64(&new).unwrap());
        let sealed = old.seal(Purpose::Token, b"", b"x");
        assert!(both.open(Purpose::Token, b"", &sealed).is_some());
        assert!(new.open(Purpose::Token, b"", &sealed).is_none());
        assert!(old.is_newest(&sealed) && !both.is_newest(&sealed) && !old.is_newest(&sealed[..4]));
        assert!(new.open(Purpose::Token, b"", &both.seal(Purpose::Token, b"", b"x")).is_some());

        let tag = old.sign_session(b"id");
        assert!(both.session_key(b"id", &tag).is_some());
        assert!(new.session_key(b"id", &tag).is_none());
        assert!(new.session_key(b"id", &both.sign_session(b"id")).is_some());
    }

    /// Created by another implementation of HKDF and XChaCha20-Poly1305 (`PyCryptodome`), which
    /// proves that the documented format is the real one.
    #[test]
    fn k1_values_sealed_by_an_earlier_version_open() {
        const HEADER: &str = "01da2e308b000102030405060708090a0b0c0d0e0f1011121314151617";
        for (purpose, context, plain, ciphertext) in [
            (Purpose::Token, "ada", "a grant", "f98cf2831e64f16a84352a3a9efb3748ba08e90dbecf60"),
            (Purpose::Flow, "name", "a flow", "65000a6a8a40ddabd7f0dcb7cf235ac4071bfcce73fe"),
        ] {
            let sealed = unhex(&format!("{HEADER}{ciphertext}"));
            let opened = ring(&[9; 32]).open(purpose, context.as_bytes(), &sealed);
            assert_eq!(opened.unwrap().as_slice(), plain.as_bytes());
        }
    }

    fn unhex(hex: &str) -> Vec<u8> {
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let ring = ring(&[9; 32]);
        let key = &ring.keys()[0];
        assert!(key.token != key.flow && key.token != key.session && key.flow != key.session);
        assert!(![&key.token, &key.flow, &key.session].contains(&&[9; 32]));
        assert!(!key.token.starts_with(&key.id) && !key.session.starts_with(&key.id));
    }

    #[test]
    fn s7_a_mac_of_another_length_is_rejected() {
        let ring = ring(&[9; 32]);
        let tag = ring.sign_session(b"id");
        assert!(ring.session_key(b"id", &tag).is_some());
        assert!(ring.session_key(b"ie", &tag).is_none());
        for cut in 0..MAC_LEN {
            assert!(ring.session_key(b"id", &tag[..cut]).is_none());
        }
        assert!(ring.session_key(b"id", &[&tag[..], &[0]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn sealed_values_round_trip(plain: Vec<u8>, context: Vec<u8>) {
            let ring = ring(&[2; 32]);
            let sealed = ring.seal(Purpose::Flow, &context, &plain);
            let opened = ring.open(Purpose::Flow, &context, &sealed).unwrap();
            prop_assert_eq!(&*opened, &plain);
        }

        #[test]
        fn s7_modified_values_do_not_open(at: prop::sample::Index, bit in 0_u8..8) {
            let ring = ring(&[3; 32]);
            let sealed = ring.seal(Purpose::Flow, b"name", b"some content");
            let mut changed = sealed.clone();
            let i = at.index(changed.len());
            changed[i] ^= 1 << bit;
            prop_assert!(ring.open(Purpose::Flow, b"name", &changed).is_none());
            prop_assert!(ring.open(Purpose::Flow, b"name", &sealed[..i]).is_none());
            let longer = [&sealed[..], &[bit]].concat();
            prop_assert!(ring.open(Purpose::Flow, b"name", &longer).is_none());
        }
    }
}

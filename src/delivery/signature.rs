//! A delivery's signature and timestamp: parsing, verification and, for the fake, signing.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How far a timestamp may be from now, either way. Source: Webflow, *Working with Webhooks*.
pub const WINDOW_MILLIS: u64 = 5 * 60 * 1000;

/// The most digits of a timestamp: as many as `u64::MAX` has.
const MAX_DIGITS: usize = 20;

/// An HMAC-SHA-256, the value of `x-webflow-signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature([u8; 32]);

impl Signature {
    /// Parses exactly 64 hex digits of either case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Whether `secret` made this signature over the timestamp and body. Compares in constant time.
    pub fn verify(&self, secret: &SecretString, timestamp: &Timestamp, body: &[u8]) -> bool {
        mac(secret, timestamp, body).is_some_and(|mac| mac.verify_slice(&self.0).is_ok())
    }

    #[cfg(any(test, feature = "testing", feature = "_fuzzing"))]
    pub fn sign(secret: &SecretString, timestamp: &Timestamp, body: &[u8]) -> Option<Self> {
        mac(secret, timestamp, body).map(|mac| Self(mac.finalize().into_bytes().into()))
    }

    #[cfg(any(test, feature = "testing", feature = "_fuzzing"))]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// The signed message: the timestamp as received, a colon, and the raw body.
fn mac(secret: &SecretString, timestamp: &Timestamp, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    Some(mac.chain_update(&timestamp.text).chain_update(":").chain_update(body))
}

/// The value of `x-webflow-timestamp`: Unix time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// The header's value as received, which is what was signed.
    text: String,
    millis: u64,
}

impl Timestamp {
    /// Parses one to twenty ASCII digits that fit into 64 bits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !(1..=MAX_DIGITS).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        Some(Self { text: text.to_owned(), millis: text.parse().ok()? })
    }

    #[cfg(any(test, feature = "testing"))]
    pub fn at(millis: u64) -> Self {
        Self { text: millis.to_string(), millis }
    }

    pub const fn millis(&self) -> u64 {
        self.millis
    }

    #[cfg(any(test, feature = "testing"))]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub const fn is_fresh(&self, now_millis: u64) -> bool {
        self.millis.abs_diff(now_millis) <= WINDOW_MILLIS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "d26ec60528020e1caf426db1a20dceaf5f4e3581bb29bc659b2886d46a7160ed";
    const BODY: &str = "{\"triggerType\":\"form_submission\",\"payload\":{\"name\":\"Contact Us – \
        Ünïcode 🎉\",\"siteId\":\"65427cf400e02b306eaa049c\",\
        \"data\":{\"Phone Number\":15550000000}}}";
    const SIGNATURE: &str = "6edcd37f84ad9d9fc0b7909938558c4f548e2d8f61a4295871139a28fb018792";

    fn secret() -> SecretString {
        SECRET.into()
    }

    /// Webflow's JavaScript SDK accepts this test vector.
    #[test]
    fn accepts_a_signature_that_the_official_sdk_accepts() {
        let timestamp = Timestamp::parse(b"1663849649733").unwrap();
        let signature = Signature::parse(SIGNATURE.as_bytes()).unwrap();
        assert!(signature.verify(&secret(), &timestamp, BODY.as_bytes()));
        let upper = Signature::parse(SIGNATURE.to_uppercase().as_bytes()).unwrap();
        assert_eq!(upper, signature);
        let made = Signature::sign(&secret(), &timestamp, BODY.as_bytes()).unwrap();
        assert_eq!(made.to_hex(), SIGNATURE);
    }

    #[test]
    fn h1_only_64_hex_digits_are_a_signature() {
        let (short, blank) = (&SIGNATURE[..63], SIGNATURE.replacen('6', " ", 1));
        let padded = [format!(" {SIGNATURE}"), format!("{SIGNATURE} "), format!("{SIGNATURE}00")];
        let others = ["", short, &SIGNATURE[..62], &blank, &SIGNATURE.replacen('6', "g", 1)];
        let prefixed = format!("sha256={SIGNATURE}");
        let twice = format!("{SIGNATURE},{SIGNATURE}");
        for text in others.into_iter().chain(padded.iter().map(String::as_str)).chain([
            prefixed.as_str(),
            twice.as_str(),
            "6edcd37f84ad9d9fc0b7909938558c4f548e2d8f61a4295871139a28fb01879é",
        ]) {
            assert_eq!(Signature::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn h2_only_unsigned_64_bit_digits_are_a_timestamp() {
        for (text, millis) in
            [("0", 0), ("1663849649733", 1_663_849_649_733), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(Timestamp::parse(text.as_bytes()).unwrap().millis(), millis);
        }
        let padded = Timestamp::parse(b"00000000000000000012").unwrap();
        assert_eq!((padded.millis(), padded.as_str()), (12, "00000000000000000012"));
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.5",
            "1e3",
            "0x1",
            "now",
            "١",
            "1,1",
            "18446744073709551616",
            "000000000000000000001",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn h2_a_timestamp_is_fresh_for_five_minutes_either_way() {
        let now = 1_663_849_649_733;
        for (millis, fresh) in [
            (now - WINDOW_MILLIS - 1, false),
            (now - WINDOW_MILLIS, true),
            (now, true),
            (now + WINDOW_MILLIS, true),
            (now + WINDOW_MILLIS + 1, false),
            (now / 1000, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(Timestamp::at(millis).is_fresh(now), fresh, "{millis}");
        }
    }

    proptest! {
        #[test]
        fn a_signature_verifies_until_a_bit_changes(
            secret in "[ -~]{16,80}",
            millis: u64,
            body in prop::collection::vec(any::<u8>(), 0..200),
            bit in 0_usize..256,
        ) {
            let (secret, timestamp) = (SecretString::from(secret), Timestamp::at(millis));
            let signature = Signature::sign(&secret, &timestamp, &body).unwrap();
            prop_assert!(signature.verify(&secret, &timestamp, &body));
            prop_assert_eq!(Signature::parse(signature.to_hex().as_bytes()), Some(signature));

            let mut forged = signature;
            forged.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!forged.verify(&secret, &timestamp, &body));
            let later = Timestamp::at(millis.wrapping_add(1));
            prop_assert!(!signature.verify(&secret, &later, &body));
            let mut longer = body.clone();
            longer.push(b'\n');
            prop_assert!(!signature.verify(&secret, &timestamp, &longer));
            if let Some(byte) = body.get(bit % body.len().max(1)).copied() {
                let mut changed = body.clone();
                changed[bit % body.len()] = byte ^ 1;
                prop_assert!(!signature.verify(&secret, &timestamp, &changed));
            }
        }

        #[test]
        fn no_bytes_make_parsing_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(timestamp) = Timestamp::parse(&text) {
                prop_assert_eq!(timestamp.as_str().as_bytes(), &text[..]);
            }
            if let Some(signature) = Signature::parse(&text) {
                prop_assert_eq!(signature.to_hex().into_bytes(), text.to_ascii_lowercase());
            }
        }
    }
}

//! Cryptographically secure random values.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes from the operating system.
///
/// # Panics
/// If the operating system has no randomness. Continuing would make every secret guessable.
#[expect(clippy::expect_used, reason = "continuing without randomness is unsafe")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

/// A random 256-bit value as 43 characters of base64url.
pub fn token_256() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

//! Unpredictable values.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes from the operating system's generator.
///
/// # Panics
/// When the system has no source of randomness, which no supported system lacks once it has
/// booted: to go on without one would make every secret guessable.
#[expect(clippy::expect_used, reason = "there is no safe way on without randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A random 256-bit value as 43 characters of base64url.
pub fn token_256() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

//! Holds back the patient calls of a grant after a 429.

use std::time::Duration;

use quick_cache::sync::Cache;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::deadline;
use crate::grant::token::WebflowToken;
use crate::util::clock::Clock;

/// How many tokens are remembered. The calls of a forgotten one may meet another 429.
const MAX_REMEMBERED: usize = 4096;

/// The time until which Webflow accepts no calls with a token.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// By the injected clock, in Unix milliseconds.
    until_millis: u64,
    /// By the monotonic clock, in case the other one is set back.
    until: Instant,
}

/// The tokens whose rate limit is exhausted, by a hash of the token.
pub struct Holds(Cache<[u8; 32], Hold>);

impl Default for Holds {
    fn default() -> Self {
        Self(Cache::new(MAX_REMEMBERED))
    }
}

impl Holds {
    pub fn hold(&self, token: &WebflowToken, wait: Duration, clock: &Clock) {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let until_millis = clock.unix_millis().saturating_add(millis);
        self.0.insert(key(token), Hold { until_millis, until: deadline(wait) });
    }

    /// How long a patient call has to wait; zero if it may go ahead.
    pub fn left(&self, token: &WebflowToken, clock: &Clock) -> Duration {
        if self.0.is_empty() {
            return Duration::ZERO;
        }
        let key = key(token);
        let Some(hold) = self.0.get(&key) else { return Duration::ZERO };
        let by_clock = Duration::from_millis(hold.until_millis.saturating_sub(clock.unix_millis()));
        let left = by_clock.min(hold.until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            self.0.remove(&key);
        }
        left
    }
}

fn key(token: &WebflowToken) -> [u8; 32] {
    Sha256::digest(token.access_token().expose_secret()).into()
}

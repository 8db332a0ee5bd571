//! Sessions that were verified a moment ago, by their cookie's value.
//!
//! The way of nearly every request: one look-up instead of a signature, a subject and a second
//! look-up. A value is here only after its signature was found good, and it leads to a token that
//! the cache has read: it ends with that reading, whether by its time, by a logout, by another
//! instance's change or to make room, and with the session's own expiry.

use quick_cache::sync;

use crate::WebflowToken;
use crate::cache::Cache;

pub(crate) struct HotSessions(Option<sync::Cache<Box<[u8]>, Hot>>);

#[derive(Clone)]
struct Hot {
    token: WebflowToken,
    expires_unix_secs: u64,
}

impl HotSessions {
    /// For as many as the cache holds subjects; none without a cache.
    pub(crate) fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| sync::Cache::new(capacity)))
    }

    /// What the cookie's value leads to, `now` in Unix milliseconds.
    pub(crate) fn get(&self, value: &[u8], now: u64, cache: &Cache) -> Option<WebflowToken> {
        let hot = self.0.as_ref()?.get(value)?;
        let fresh = hot.token.reading().is_some_and(|reading| cache.is_fresh(reading, now));
        (fresh && now / 1000 < hot.expires_unix_secs).then_some(hot.token)
    }

    pub(crate) fn put(&self, value: &str, token: WebflowToken, expires_unix_secs: u64) {
        if let Some(sessions) = &self.0 {
            sessions.insert(value.as_bytes().into(), Hot { token, expires_unix_secs });
        }
    }
}

//! Sessions that were verified a moment ago, by their cookie's value.
//!
//! The way of nearly every request: one look-up instead of a signature, a subject and a second
//! look-up. A value is here only after its signature was found good, and it leads to a token that
//! the cache has read: it ends with that reading, whether by its time, by a logout, by another
//! instance's change or to make room, and with the session's own expiry.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::DefaultHashBuilder;

use super::cache::Cache;
use crate::grant::token::WebflowToken;

type Sessions = papaya::HashMap<Box<[u8]>, Hot, DefaultHashBuilder>;

/// Read without a lock or any other write that threads would share: every request reads it, and
/// what one thread writes there the others would have to fetch.
pub(crate) struct HotSessions {
    sessions: Option<Sessions>,
    capacity: usize,
    /// When what is over was last taken out, in Unix milliseconds.
    swept_at: AtomicU64,
}

/// How long a token may stay in memory after its session is over, where sessions come and go.
const SWEEP_MILLIS: u64 = 60_000;

struct Hot {
    token: WebflowToken,
    expires_unix_secs: u64,
}

impl Hot {
    fn is_good(&self, now: u64, cache: &Cache) -> bool {
        now / 1000 < self.expires_unix_secs
            && self.token.reading().is_some_and(|reading| cache.is_fresh(reading, now))
    }
}

impl HotSessions {
    /// For as many as the cache holds subjects; none without a cache.
    pub(crate) fn new(capacity: usize) -> Self {
        let sessions = (capacity > 0).then(Sessions::default);
        Self { sessions, capacity, swept_at: AtomicU64::new(0) }
    }

    /// What the cookie's value leads to, `now` in Unix milliseconds.
    pub(crate) fn get(&self, value: &[u8], now: u64, cache: &Cache) -> Option<WebflowToken> {
        let sessions = self.sessions.as_ref()?.pin();
        let hot = sessions.get(value)?;
        hot.is_good(now, cache).then(|| hot.token.clone())
    }

    /// What is over goes once a minute, and where there is no more room; and if that is not enough,
    /// everything goes: it costs each session one signature to come back.
    pub(crate) fn put(
        &self,
        value: &str,
        token: WebflowToken,
        expires_unix_secs: u64,
        (now, cache): (u64, &Cache),
    ) {
        let Some(sessions) = &self.sessions else { return };
        let sessions = sessions.pin();
        let last = self.swept_at.load(Ordering::Relaxed);
        let due = now.abs_diff(last) >= SWEEP_MILLIS || sessions.len() >= self.capacity;
        // Of threads that come at once one sweeps.
        let mine =
            || self.swept_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if due && mine().is_ok() {
            sessions.retain(|_, hot| hot.is_good(now, cache));
        }
        if sessions.len() >= self.capacity {
            sessions.clear();
        }
        sessions.insert(value.as_bytes().into(), Hot { token, expires_unix_secs });
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::config::CacheConfig;
    use crate::identity::subject::Subject;
    use crate::vault::cache::Tokens;

    const EXPIRY: u64 = 1000;

    async fn read(cache: &Cache, user: usize, now: u64) -> WebflowToken {
        let read = || async { Ok(Tokens::from([WebflowToken::for_test([]).build()])) };
        let slot = cache.get_or_load(&Subject::user(user), now, read).await.unwrap();
        slot.tokens.first().unwrap().clone()
    }

    #[tokio::test]
    async fn c6_a_known_session_ends_with_its_expiry_its_reading_and_its_removal() {
        let cache = Cache::new(&CacheConfig::new());
        let hot = HotSessions::new(10);
        hot.put("a", read(&cache, 1, 0).await, EXPIRY, (0, &cache));
        hot.put("b", read(&cache, 2, 0).await, 2, (0, &cache));
        assert!(hot.get(b"a", 4999, &cache).is_some(), "within the cache's five seconds");
        assert!(hot.get(b"a", 5000, &cache).is_none());
        assert!(hot.get(b"b", 1999, &cache).is_some() && hot.get(b"b", 2000, &cache).is_none());
        assert!(hot.get(b"", 0, &cache).is_none());
        cache.forget(&Subject::user(1));
        assert!(hot.get(b"a", 0, &cache).is_none(), "logged out");
    }

    #[tokio::test]
    async fn what_is_over_leaves_memory_and_there_are_never_more_than_fit() {
        let cache = Cache::new(&CacheConfig::new());
        let hot = HotSessions::new(10);
        let len = |hot: &HotSessions| hot.sessions.as_ref().unwrap().len();
        hot.put("gone", read(&cache, 0, 100_000).await, EXPIRY, (100_000, &cache));
        cache.forget(&Subject::user(0));
        let later = 100_000 + SWEEP_MILLIS;
        hot.put("next", read(&cache, 1, later).await, EXPIRY, (later, &cache));
        assert_eq!(len(&hot), 1);
        for user in 2..30 {
            let token = read(&cache, user, later).await;
            hot.put(&user.to_string(), token, EXPIRY, (later, &cache));
            assert!(len(&hot) <= 10);
            assert!(hot.get(user.to_string().as_bytes(), later, &cache).is_some());
        }
    }
}

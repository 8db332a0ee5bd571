//! Sessions that were verified a moment ago, by their cookie's value.
//!
//! The way of nearly every request: one look-up instead of a signature, a subject and a second
//! look-up. A value is here only after its signature was found good, and it leads to a token that
//! the cache has read: it ends with that reading, whether by its time, by a logout, by another
//! instance's change or to make room, and with the session's own expiry.

use quick_cache::DefaultHashBuilder;

use crate::WebflowToken;
use crate::cache::Cache;

type Sessions = papaya::HashMap<Box<[u8]>, Hot, DefaultHashBuilder>;

/// Read without a lock or any other write that threads would share: every request reads it, and
/// what one thread writes there the others would have to fetch.
pub(crate) struct HotSessions {
    sessions: Option<Sessions>,
    capacity: usize,
}

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
        Self { sessions, capacity }
    }

    /// What the cookie's value leads to, `now` in Unix milliseconds.
    pub(crate) fn get(&self, value: &[u8], now: u64, cache: &Cache) -> Option<WebflowToken> {
        let sessions = self.sessions.as_ref()?.pin();
        let hot = sessions.get(value)?;
        hot.is_good(now, cache).then(|| hot.token.clone())
    }

    /// Where there is no more room, what is over goes; and if that is not enough, everything: it
    /// costs each session one signature to come back.
    pub(crate) fn put(
        &self,
        value: &str,
        token: WebflowToken,
        expires_unix_secs: u64,
        (now, cache): (u64, &Cache),
    ) {
        let Some(sessions) = &self.sessions else { return };
        let sessions = sessions.pin();
        if sessions.len() >= self.capacity {
            sessions.retain(|_, hot| hot.is_good(now, cache));
            if sessions.len() >= self.capacity {
                sessions.clear();
            }
        }
        sessions.insert(value.as_bytes().into(), Hot { token, expires_unix_secs });
    }
}

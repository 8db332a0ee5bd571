//! Sessions that were verified a moment ago, by their cookie's value.
//!
//! The way of nearly every request: one look-up instead of a signature, a subject and a second
//! look-up. A value is here only after its signature was found good, and what it leads to is the
//! cache's own slot: it ends with the slot, whether by its time, by a logout, by another
//! instance's change or to make room, and with the session's own expiry.

use std::sync::Arc;

use quick_cache::sync;

use crate::cache::{Cache, Slot};

pub(crate) struct HotSessions(Option<sync::Cache<Box<str>, Hot>>);

#[derive(Clone)]
struct Hot {
    slot: Arc<Slot>,
    expires_unix_secs: u64,
}

impl HotSessions {
    /// For as many as the cache holds subjects; none without a cache.
    pub(crate) fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| sync::Cache::new(capacity)))
    }

    /// What the cookie's value leads to, `now` in Unix milliseconds.
    pub(crate) fn get(&self, value: &str, now: u64, cache: &Cache) -> Option<Arc<Slot>> {
        let hot = self.0.as_ref()?.get(value)?;
        (now / 1000 < hot.expires_unix_secs && cache.is_fresh(&hot.slot, now)).then_some(hot.slot)
    }

    pub(crate) fn put(&self, value: &str, slot: Arc<Slot>, expires_unix_secs: u64) {
        if let Some(sessions) = &self.0 {
            sessions.insert(value.into(), Hot { slot, expires_unix_secs });
        }
    }
}

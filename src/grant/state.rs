//! What this process knows about each token version.
//!
//! A token may be read from the store many times. Its state must outlive each copy, so it is kept
//! by version.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quick_cache::sync;

use super::site_listings::Listings;
use crate::store::TokenVersion;

/// The pause after a lookup, in milliseconds. It doubles with each failure.
const FIRST_PAUSE: u64 = 10_000;
const LONGEST_PAUSE: u64 = 3_600_000;

/// The states of recently used tokens. A full registry evicts the least used.
pub struct TokenStates(sync::Cache<TokenVersion, Arc<TokenState>>);

/// What is known about one version of a token.
#[derive(Debug, Default)]
pub struct TokenState {
    /// Webflow rejects it, or its user has signed out.
    dead: AtomicBool,
    /// When introspection last accepted it, in Unix milliseconds.
    alive_at: AtomicU64,
    /// `on_revoked` was called.
    reported: AtomicBool,
    /// Some details of the grant have to be looked up.
    outdated: AtomicBool,
    /// The last introspection may be out of date.
    doubted: AtomicBool,
    /// When the next lookup may start, in Unix milliseconds, and the pause before it.
    lookup_at: AtomicU64,
    pause: AtomicU64,
    listings: Listings,
}

impl TokenStates {
    pub fn new(capacity: usize) -> Self {
        Self(sync::Cache::new(capacity))
    }

    /// Returns the state of that version, creating it if necessary.
    pub fn get_or_create(&self, version: TokenVersion, outdated: bool) -> Arc<TokenState> {
        let new = || {
            let state = TokenState { outdated: AtomicBool::new(outdated), ..TokenState::default() };
            Ok::<_, std::convert::Infallible>(Arc::new(state))
        };
        match self.0.get_or_insert_with(&version, new) {
            Ok(state) => state,
            Err(never) => match never {},
        }
    }
}

impl TokenState {
    pub fn mark_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Undoes [`mark_dead`](Self::mark_dead) after the removal of the grant has failed.
    pub fn revive(&self) {
        self.dead.store(false, Ordering::Relaxed);
    }

    /// Records that Webflow accepted the token at `now`, in Unix milliseconds.
    pub fn seen_alive(&self, now: u64) {
        self.alive_at.fetch_max(now, Ordering::Relaxed);
    }

    pub fn was_alive_since(&self, since: u64) -> bool {
        self.alive_at.load(Ordering::Relaxed) > since
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether `on_revoked` still has to be called. True for one caller only.
    pub fn take_report(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Requests another introspection.
    pub fn mark_outdated(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.outdated.store(true, Ordering::Relaxed);
    }

    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// The listings of the grant's sites.
    pub const fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Whether the token is dead, or a lookup is due.
    pub fn needs_attention(&self, now: u64) -> bool {
        self.is_dead() || self.outdated.load(Ordering::Relaxed) && self.is_due(now)
    }

    /// A clock that is set back ends the pause.
    fn is_due(&self, now: u64) -> bool {
        let at = self.lookup_at.load(Ordering::Relaxed);
        now >= at || at - now > self.pause.load(Ordering::Relaxed)
    }

    /// Whether a lookup should start at `now`, in Unix milliseconds. True for one caller only,
    /// after which the next, longer pause begins.
    pub fn take_outdated(&self, now: u64) -> bool {
        let at = self.lookup_at.load(Ordering::Relaxed);
        if !self.outdated.load(Ordering::Relaxed) || !self.is_due(now) {
            return false;
        }
        let pause = self.pause.load(Ordering::Relaxed);
        let pause = if pause == 0 { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        let next = now.saturating_add(pause);
        let mine =
            self.lookup_at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            self.pause.store(pause, Ordering::Relaxed);
        }
        mine
    }

    /// Records that all lookups succeeded, which resets the pause.
    pub fn looked_up(&self, now: u64) {
        self.outdated.store(false, Ordering::Relaxed);
        self.pause.store(FIRST_PAUSE, Ordering::Relaxed);
        self.lookup_at.store(now.saturating_add(FIRST_PAUSE), Ordering::Relaxed);
    }

    /// Records a successful introspection.
    pub fn introspected(&self) {
        self.doubted.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_success_resets_them() {
        let state = TokenState::default();
        assert!(!state.take_outdated(0), "nothing is out of date");
        state.mark_outdated();
        let mut now = 1_000_000_000;
        for length in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            assert!(state.take_outdated(now));
            assert!(!state.take_outdated(now + length * 1000 - 1));
            now += length * 1000;
        }
        state.looked_up(now);
        assert!(!state.needs_attention(now));
        state.mark_outdated();
        assert!(!state.take_outdated(now + 9_999));
        assert!(state.take_outdated(now + 10_000));
        assert!(state.take_outdated(0), "a clock that was set back ends a pause");
    }

    #[test]
    fn c5_state_outlives_the_token_object() {
        let states = TokenStates::new(100);
        let version = TokenVersion::generate(1, 1);
        states.get_or_create(version, false).mark_dead();
        assert!(states.get_or_create(version, false).is_dead());
        assert!(!states.get_or_create(TokenVersion::generate(1, 2), false).is_dead());
        states.get_or_create(version, false).revive();
        assert!(!states.get_or_create(version, false).is_dead());
    }

    #[test]
    fn states_are_bounded() {
        let states = TokenStates::new(100);
        for i in 0..10_000 {
            states.get_or_create(TokenVersion::generate(i, 0), true).mark_dead();
        }
        assert!(states.0.len() <= 101);
    }
}

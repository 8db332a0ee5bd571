//! What this process has learned of a token, for as long as it matters.
//!
//! Tokens are read from the store again and again; what is known of one must not end with the
//! object that was read. The store's rows have it by version.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quick_cache::sync;

use super::listing::Listings;
use crate::store::TokenVersion;

/// The pause after a lookup, in milliseconds; it doubles with each failure.
const FIRST_PAUSE: u64 = 10_000;
const LONGEST_PAUSE: u64 = 3_600_000;

/// The states of the tokens that were used last; a full registry forgets the least used.
pub struct TokenStates(sync::Cache<TokenVersion, Arc<TokenState>>);

/// What is known of one version of a token.
#[derive(Debug, Default)]
pub struct TokenState {
    /// Webflow does not accept it any more, or its user has signed out.
    dead: AtomicBool,
    /// When introspection last accepted it, in Unix milliseconds.
    alive_at: AtomicU64,
    /// `on_revoked` was told.
    reported: AtomicBool,
    /// Something of the grant is to be looked up.
    outdated: AtomicBool,
    /// What introspection said may be out of date.
    doubted: AtomicBool,
    /// When the next lookup may begin, in Unix milliseconds, and the pause that led there.
    lookup_at: AtomicU64,
    pause: AtomicU64,
    listings: Listings,
}

impl TokenStates {
    pub fn new(capacity: usize) -> Self {
        Self(sync::Cache::new(capacity))
    }

    /// The state of that version; a new one if nothing is known of it.
    pub fn of(&self, version: TokenVersion, outdated: bool) -> Arc<TokenState> {
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

    /// Takes the mark back, when a removal that it announced has failed.
    pub fn revive(&self) {
        self.dead.store(false, Ordering::Relaxed);
    }

    /// Webflow has accepted the token, at `now` in Unix milliseconds.
    pub fn seen_alive(&self, now: u64) {
        self.alive_at.fetch_max(now, Ordering::Relaxed);
    }

    pub fn was_alive_since(&self, since: u64) -> bool {
        self.alive_at.load(Ordering::Relaxed) > since
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether `on_revoked` is still to be told that it was removed. True to one caller.
    pub fn take_report(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Has what introspection says of the grant looked up anew.
    pub fn mark_outdated(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.outdated.store(true, Ordering::Relaxed);
    }

    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// The listings of its sites.
    pub const fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Whether it is dead, or a lookup is due.
    pub fn needs_attention(&self, now: u64) -> bool {
        self.is_dead() || self.outdated.load(Ordering::Relaxed) && self.is_due(now)
    }

    /// A clock that was set back ends a pause.
    fn is_due(&self, now: u64) -> bool {
        let at = self.lookup_at.load(Ordering::Relaxed);
        now >= at || at - now > self.pause.load(Ordering::Relaxed)
    }

    /// Whether something should be looked up at `now`, in Unix milliseconds. True to one caller; the
    /// next pause begins then, longer than the last.
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

    /// Everything was looked up: the next pause is a short one.
    pub fn looked_up(&self, now: u64) {
        self.outdated.store(false, Ordering::Relaxed);
        self.pause.store(FIRST_PAUSE, Ordering::Relaxed);
        self.lookup_at.store(now.saturating_add(FIRST_PAUSE), Ordering::Relaxed);
    }

    /// Introspection has answered.
    pub fn introspected(&self) {
        self.doubted.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_a_success_makes_them_short_again() {
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
    fn c5_what_is_known_outlives_the_object_that_was_read() {
        let states = TokenStates::new(100);
        let version = TokenVersion::generate(1, 1);
        states.of(version, false).mark_dead();
        assert!(states.of(version, false).is_dead());
        assert!(!states.of(TokenVersion::generate(1, 2), false).is_dead());
        states.of(version, false).revive();
        assert!(!states.of(version, false).is_dead());
    }

    #[test]
    fn states_are_bounded() {
        let states = TokenStates::new(100);
        for i in 0..10_000 {
            states.of(TokenVersion::generate(i, 0), true).mark_dead();
        }
        assert!(states.0.len() <= 101);
    }
}

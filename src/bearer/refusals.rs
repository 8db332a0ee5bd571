//! Limits how many ID tokens of a site Webflow may refuse within a minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quick_cache::sync;

use crate::util::clock::is_within;

/// How many refusals a site may have within the window.
const MAX_REFUSED: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Only sites with a grant get an entry, so invented sites take no memory.
const MAX_SITES: usize = 1024;

/// The times of each site's last refusals, in Unix milliseconds, oldest first.
pub struct Refusals(sync::Cache<String, Arc<Mutex<VecDeque<u64>>>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(sync::Cache::new(MAX_SITES))
    }
}

impl Refusals {
    /// How long to wait before Webflow may be asked about that site, if it has reached the limit.
    pub fn wait(&self, site_id: &str, now: u64) -> Option<Duration> {
        let times = self.0.get(site_id)?;
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.retain(|&at| is_within(WINDOW, at, now));
        let oldest = times.front().filter(|_| times.len() >= MAX_REFUSED)?;
        Some(WINDOW.saturating_sub(Duration::from_millis(now.saturating_sub(*oldest))))
    }

    pub fn note(&self, site_id: &str, now: u64) {
        let times = self.0.get(site_id).unwrap_or_else(|| {
            let times = Arc::default();
            self.0.insert(site_id.to_owned(), Arc::clone(&times));
            times
        });
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= MAX_REFUSED {
            times.pop_front();
        }
        times.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b5_a_site_may_have_twenty_refusals_within_a_minute() {
        let refusals = Refusals::default();
        for i in 0..20 {
            assert_eq!(refusals.wait("a", 1000 + i), None);
            refusals.note("a", 1000 + i);
        }
        assert_eq!(refusals.wait("a", 1020), Some(Duration::from_millis(59_980)));
        assert_eq!(refusals.wait("b", 1020), None, "another site");
        assert_eq!(refusals.wait("a", 60_999), Some(Duration::from_millis(1)));
        assert_eq!(refusals.wait("a", 61_000), None);
        refusals.note("a", 61_000);
        assert!(refusals.wait("a", 61_000).is_some(), "twenty within the minute again");
        assert_eq!(refusals.wait("a", 0), None, "a clock that was set back ends it");
    }

    #[test]
    fn b5_refusals_are_bounded() {
        let refusals = Refusals::default();
        for i in 0..100_000 {
            refusals.note(&i.to_string(), 0);
            refusals.note("one", 0);
        }
        assert!(refusals.0.len() <= MAX_SITES + 1);
        let one = refusals.0.get("one").unwrap();
        assert!(one.lock().unwrap().len() <= MAX_REFUSED);
    }
}

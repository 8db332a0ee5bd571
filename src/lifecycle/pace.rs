//! How fast a job goes over the stored grants, and where it begins.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::store::TokenKey;

/// How long after a first 401 the second one is asked for.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);

/// How much of the time that a slow consumer has lost is caught up.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How fast a job goes over the stored grants, and where it begins.
///
/// ```
/// use std::time::Duration;
/// use tower_webflow_auth::{Pace, Subject, store::{GrantId, TokenKey}};
///
/// let last = TokenKey::new(Subject::user(42), GrantId::default());
/// let pace = Pace::per_second(5).after(&last).confirm_after(Duration::from_secs(120));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a pace does nothing by itself"]
pub struct Pace {
    per_second: u32,
    after: Option<TokenKey>,
    confirm_after: Duration,
}

impl Pace {
    /// At most this many calls or writes per second; at least one.
    pub fn per_second(count: u32) -> Self {
        Self { per_second: count.max(1), after: None, confirm_after: CONFIRM_AFTER }
    }

    /// Begins behind this key, in the store's order; default at the first row. The key of an item
    /// is made of its subject and grant ID.
    pub fn after(mut self, key: &TokenKey) -> Self {
        self.after = Some(key.clone());
        self
    }

    /// How long [`verify_grants`](crate::WebflowAuthHandle::verify_grants) waits between the two
    /// answers 401 that prove a token dead; default 60 seconds.
    pub const fn confirm_after(mut self, pause: Duration) -> Self {
        self.confirm_after = pause;
        self
    }

    pub(super) const fn first(&self) -> Option<&TokenKey> {
        self.after.as_ref()
    }

    pub(super) const fn pause_before_proof(&self) -> Duration {
        self.confirm_after
    }

    pub(super) fn ticker(&self) -> Ticker {
        let period = Duration::from_secs(1) / self.per_second;
        Ticker { period, next: Instant::now() }
    }
}

/// Says when the next call or write may begin.
pub struct Ticker {
    period: Duration,
    next: Instant,
}

impl Ticker {
    pub async fn tick(&mut self) {
        let earliest = Instant::now().checked_sub(CATCH_UP);
        self.next = earliest.map_or(self.next, |earliest| self.next.max(earliest));
        sleep_until(self.next).await;
        self.next += self.period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn i8_a_pace_is_kept_and_a_pause_is_not_caught_up() {
        let mut ticker = Pace::per_second(10).ticker();
        let start = Instant::now();
        for _ in 0..=20 {
            ticker.tick().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..=20 {
            ticker.tick().await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(1900));
        let mut ticker = Pace::per_second(0).ticker();
        ticker.tick().await;
    }
}

//! How fast a job processes the stored grants, and where it starts.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::store::TokenKey;

/// The default time between a first 401 and the second check.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);

/// How much of the time lost to a slow consumer is caught up.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How fast a job processes the stored grants, and where it starts.
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
    /// Allows at most `count` calls or writes per second, at least one.
    pub fn per_second(count: u32) -> Self {
        Self { per_second: count.max(1), after: None, confirm_after: CONFIRM_AFTER }
    }

    /// Starts after this key, in the store's order. By default, a job starts at the first row.
    /// Build the key of an item from its subject and grant ID.
    pub fn after(mut self, key: &TokenKey) -> Self {
        self.after = Some(key.clone());
        self
    }

    /// Sets how long [`verify_grants`](crate::WebflowAuthHandle::verify_grants) waits between the
    /// two 401s that prove a token dead. Defaults to 60 seconds.
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

/// Delays each call or write until it may start.
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
    async fn i8_ticks_keep_the_pace_and_do_not_catch_up() {
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

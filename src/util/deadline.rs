//! One deadline for several steps of work.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// A point in time by which work must have finished. Each step gets the time that earlier steps
/// left.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// An earlier deadline, which leaves `reserve` for later steps.
    pub fn leaving(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or(self.0))
    }

    /// The earlier of this deadline and `budget` from now.
    pub fn within(self, budget: Duration) -> Self {
        Self(self.0.min(Instant::now() + budget))
    }

    /// Returns the time that is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs the step. Returns `None`, and drops the step, if the deadline passes first.
    pub async fn limit<T>(self, step: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, step).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn steps_share_one_budget() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let step = |secs| sleep(Duration::from_secs(secs));
        assert!(deadline.leaving(Duration::from_secs(3)).limit(step(6)).await.is_some());
        assert!(deadline.leaving(Duration::from_secs(3)).limit(step(2)).await.is_none());
        let short = deadline.within(Duration::from_secs(1));
        assert!(short.limit(step(2)).await.is_none());
        assert!(deadline.within(Duration::from_secs(60)).limit(step(4)).await.is_none());
    }
}

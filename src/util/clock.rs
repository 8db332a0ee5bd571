//! The crate's source of time, which tests can control.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(target_os = "linux", target_os = "android"))]
use nix::time::ClockId;
use tokio::sync::Notify;

/// The source of time for everything that expires.
///
/// The default is the system clock. A [`manual`](Self::manual) clock only moves when a test
/// advances it. Clones share the same time.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_webflow_auth::Clock;
///
/// let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), before + Duration::from_secs(60));
/// ```
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Hands>>);

/// The state of a manual clock.
struct Hands {
    millis: AtomicU64,
    moved: Notify,
}

impl Clock {
    /// The system clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// Creates a clock that stays at `start` until it is advanced. Its resolution is one
    /// millisecond.
    pub fn manual(start: SystemTime) -> Self {
        let millis = AtomicU64::new(unix_millis(start));
        Self(Some(Arc::new(Hands { millis, moved: Notify::new() })))
    }

    /// Returns the current time.
    pub fn now(&self) -> SystemTime {
        self.0.as_ref().map_or_else(SystemTime::now, |hands| {
            UNIX_EPOCH + Duration::from_millis(hands.millis())
        })
    }

    /// Advances a manual clock by whole milliseconds. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            hands.millis.fetch_add(by, Ordering::SeqCst);
            hands.moved.notify_waiters();
        }
    }

    /// Waits for `span`. A manual clock that is advanced by as much ends the wait early, so that a
    /// test need not wait for real time to pass.
    pub(crate) async fn sleep(&self, span: Duration) {
        let Some(hands) = &self.0 else {
            return tokio::time::sleep(span).await;
        };
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let end = hands.millis().saturating_add(millis);
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = hands.reach(end) => {}
        }
    }

    /// Milliseconds since the Unix epoch; 0 before 1970. Read on every request, so it uses the
    /// operating system's coarse clock (resolution of a few milliseconds) where there is one.
    pub(crate) fn unix_millis(&self) -> u64 {
        self.0.as_ref().map_or_else(coarse_unix_millis, |hands| hands.millis())
    }

    /// Seconds since the Unix epoch; 0 before 1970.
    pub(crate) fn unix_secs(&self) -> u64 {
        self.unix_millis() / 1000
    }
}

impl Hands {
    fn millis(&self) -> u64 {
        self.millis.load(Ordering::SeqCst)
    }

    async fn reach(&self, end: u64) {
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.millis() >= end {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn coarse_unix_millis() -> u64 {
    let Ok(now) = ClockId::CLOCK_REALTIME_COARSE.now() else {
        return unix_millis(SystemTime::now());
    };
    let secs = u64::try_from(now.tv_sec()).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000_000;
    secs.saturating_mul(1000).saturating_add(millis)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn coarse_unix_millis() -> u64 {
    unix_millis(SystemTime::now())
}

fn unix_millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| {
        since.as_secs().saturating_mul(1000).saturating_add(u64::from(since.subsec_millis()))
    })
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(manual)" } else { "Clock(system)" })
    }
}

/// Whether less than `span` has passed between two times in Unix milliseconds. A clock that was set
/// back makes what happened "later" old.
pub fn is_within(span: Duration, since: u64, now: u64) -> bool {
    now.checked_sub(since).is_some_and(|passed| Duration::from_millis(passed) < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_by_the_manual_clock_or_by_real_time() {
        let (clock, minute) = (Clock::manual(UNIX_EPOCH), Duration::from_secs(60));
        let started = tokio::time::Instant::now();
        let turn = async {
            clock.advance(minute / 2);
            tokio::task::yield_now().await;
            clock.advance(minute / 2);
        };
        tokio::join!(clock.sleep(minute), turn);
        assert_eq!(started.elapsed(), Duration::ZERO);
        clock.sleep(minute).await;
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[test]
    fn the_coarse_time_is_the_systems_time() {
        let before = unix_millis(SystemTime::now());
        let coarse = Clock::system().unix_millis();
        let after = unix_millis(SystemTime::now());
        // The coarse clock is the last timer tick, at 100 Hz or more.
        assert!((before.saturating_sub(20)..=after).contains(&coarse), "{before} {coarse} {after}");
    }
}

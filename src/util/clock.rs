//! The crate's source of time, which tests can control.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(target_os = "linux", target_os = "android"))]
use nix::time::ClockId;

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
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// Creates a clock that stays at `start` until it is advanced. Its resolution is one
    /// millisecond.
    pub fn manual(start: SystemTime) -> Self {
        Self(Some(Arc::new(AtomicU64::new(unix_millis(start)))))
    }

    /// Returns the current time.
    pub fn now(&self) -> SystemTime {
        self.0.as_ref().map_or_else(SystemTime::now, |millis| {
            UNIX_EPOCH + Duration::from_millis(millis.load(Ordering::SeqCst))
        })
    }

    /// Advances a manual clock by whole milliseconds. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Some(millis) = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Milliseconds since the Unix epoch; 0 before 1970. Read on every request, so it uses the
    /// operating system's coarse clock (resolution of a few milliseconds) where there is one.
    pub(crate) fn unix_millis(&self) -> u64 {
        self.0.as_ref().map_or_else(coarse_unix_millis, |millis| millis.load(Ordering::SeqCst))
    }

    /// Seconds since the Unix epoch; 0 before 1970.
    pub(crate) fn unix_secs(&self) -> u64 {
        self.unix_millis() / 1000
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_time_is_the_systems_time() {
        let before = unix_millis(SystemTime::now());
        let coarse = Clock::system().unix_millis();
        let after = unix_millis(SystemTime::now());
        // The coarse clock is the last timer tick, at 100 Hz or more.
        assert!((before.saturating_sub(20)..=after).contains(&coarse), "{before} {coarse} {after}");
    }
}

//! The settings of the read cache.

use std::time::Duration;

/// The settings of the read cache in front of the store.
///
/// ```
/// use std::time::Duration;
/// use tower_webflow_auth::{CacheConfig, WebflowAuthLayer};
///
/// let builder = WebflowAuthLayer::builder()
///     .cache(CacheConfig::new().capacity(100_000).ttl(Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub(crate) capacity: usize,
    pub(crate) ttl: Duration,
    pub(crate) stale_for: Duration,
}

impl CacheConfig {
    /// The defaults: 10 000 subjects, 5 seconds, nothing stale.
    pub const fn new() -> Self {
        Self { capacity: 10_000, ttl: Duration::from_secs(5), stale_for: Duration::ZERO }
    }

    /// No cache: every request reads the store.
    pub const fn off() -> Self {
        Self::new().capacity(0)
    }

    /// How many subjects are kept; 0 switches the cache off.
    #[must_use]
    pub const fn capacity(mut self, subjects: usize) -> Self {
        self.capacity = subjects;
        self
    }

    /// How long a read is believed. It bounds how long this instance may serve a token that
    /// another one has replaced or removed, where the store does not tell of that sooner.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long after its time a read may be used while the store is down; default zero. Each
    /// use is logged. Logouts and revocations by other instances go unnoticed meanwhile.
    #[must_use]
    pub const fn stale_for(mut self, stale_for: Duration) -> Self {
        self.stale_for = stale_for;
        self
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self::new()
    }
}

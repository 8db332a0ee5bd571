//! Settings of the read cache.

use std::time::Duration;

/// Settings of the read cache in front of the store.
///
/// ```
/// use std::time::Duration;
/// use tower_webflow_auth::{WebflowAuthLayer, config::CacheConfig};
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
    /// The defaults: 10 000 subjects, 5 seconds, no stale entries.
    pub const fn new() -> Self {
        Self { capacity: 10_000, ttl: Duration::from_secs(5), stale_for: Duration::ZERO }
    }

    /// Disables the cache: every request reads the store.
    pub const fn off() -> Self {
        Self::new().capacity(0)
    }

    /// Sets how many subjects are cached; 0 disables the cache.
    #[must_use]
    pub const fn capacity(mut self, subjects: usize) -> Self {
        self.capacity = subjects;
        self
    }

    /// Sets the TTL of an entry. It bounds how long this instance may use a token that another
    /// instance has replaced or removed, unless the store reports that sooner.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how long an expired entry may be used while the store is down. The default is zero.
    /// Each use is logged. Meanwhile, logouts and revocations by other instances go unnoticed.
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

//! The read cache in front of a store: bounded, short-lived, one read per cold subject.
//!
//! A removal always wins over a fill: forgetting a subject also takes away the place that a read
//! under way would fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync;

use crate::store::StoreError;
use crate::{Subject, WebflowToken};

/// A subject's grants, newest first.
pub(crate) type Tokens = Arc<[WebflowToken]>;

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
    capacity: usize,
    ttl: Duration,
    stale_for: Duration,
}

/// That a subject has no grant is believed for so long at most.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// A failed read is the answer to those who waited for it, not to later requests.
const FAILURE_TTL: Duration = Duration::from_millis(50);

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

pub(crate) struct Cache {
    entries: Option<sync::Cache<Subject, Entry>>,
    ttl: u64,
    stale_for: u64,
    /// Entries of an earlier epoch are over.
    epoch: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    outcome: Result<Tokens, Arc<StoreError>>,
    loaded_at: u64,
    lifetime: u64,
    epoch: u64,
}

/// An error that several requests are told.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SharedError(Arc<StoreError>);

fn share(error: Arc<StoreError>) -> StoreError {
    match *error {
        StoreError::Panicked => StoreError::Panicked,
        _ => StoreError::unavailable(SharedError(error)),
    }
}

impl Entry {
    fn answer(&self) -> Result<Tokens, StoreError> {
        self.outcome.clone().map_err(share)
    }
}

impl Cache {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        Self {
            entries: (config.capacity > 0).then(|| sync::Cache::new(config.capacity)),
            ttl: millis(config.ttl),
            stale_for: millis(config.stale_for),
            epoch: AtomicU64::new(0),
        }
    }

    /// The subject's grants if they are known and fresh, `now` in Unix milliseconds.
    pub(crate) fn fresh(&self, subject: &Subject, now: u64) -> Option<Tokens> {
        let entry = self.entries.as_ref()?.get(subject)?;
        if self.is_fresh(&entry, now) { entry.outcome.ok() } else { None }
    }

    /// The subject's grants: known, or read now. Of many that ask at once one reads.
    pub(crate) async fn get_or_load<F>(
        &self,
        subject: &Subject,
        now: u64,
        load: impl FnOnce() -> F,
    ) -> Result<Tokens, StoreError>
    where
        F: Future<Output = Result<Tokens, StoreError>>,
    {
        let Some(entries) = &self.entries else { return load().await };
        let mut stale = None;
        if let Some(entry) = entries.get(subject) {
            if self.is_fresh(&entry, now) {
                return entry.answer();
            }
            let over = |it: &Entry| (it.loaded_at, it.epoch) == (entry.loaded_at, entry.epoch);
            entries.remove_if(subject, over);
            stale = Some(entry);
        }
        let guard = match entries.get_value_or_guard_async(subject).await {
            Ok(entry) => return entry.answer(),
            Err(guard) => guard,
        };
        let epoch = self.epoch.load(Ordering::Acquire);
        match load().await {
            Ok(tokens) => {
                let negative = tokens.is_empty();
                let lifetime = if negative { self.ttl.min(millis(NEGATIVE_TTL)) } else { self.ttl };
                let entry =
                    Entry { outcome: Ok(Arc::clone(&tokens)), loaded_at: now, lifetime, epoch };
                // The place is gone if the subject was forgotten meanwhile; so be it.
                guard.insert(entry).ok();
                Ok(tokens)
            }
            Err(error) => {
                let usable = stale.filter(|entry| self.is_usable(entry, now));
                if let Some((tokens, entry)) =
                    usable.and_then(|entry| Some((entry.outcome.clone().ok()?, entry)))
                {
                    tracing::warn!(
                        ?subject,
                        error = &error as &dyn std::error::Error,
                        "the store is down: a grant that was read earlier is used"
                    );
                    guard.insert(entry).ok();
                    return Ok(tokens);
                }
                let error = Arc::new(error);
                let lifetime = millis(FAILURE_TTL);
                let outcome = Err(Arc::clone(&error));
                guard.insert(Entry { outcome, loaded_at: now, lifetime, epoch }).ok();
                Err(share(error))
            }
        }
    }

    /// Runs a write of the subject's grants; whoever asks for them meanwhile waits for it, and
    /// what it made of them is known afterwards.
    pub(crate) async fn write_through<F>(
        &self,
        subject: &Subject,
        now: u64,
        write: F,
    ) -> Result<WebflowToken, StoreError>
    where
        F: Future<Output = Result<WebflowToken, StoreError>>,
    {
        let Some(entries) = &self.entries else { return write.await };
        self.forget(subject);
        let place = entries.get_value_or_guard_async(subject).await;
        let epoch = self.epoch.load(Ordering::Acquire);
        let written = write.await;
        match (place, &written) {
            (Err(guard), Ok(token)) => {
                let outcome = Ok(Tokens::from([token.clone()]));
                guard.insert(Entry { outcome, loaded_at: now, lifetime: self.ttl, epoch }).ok();
            }
            // Another read was quicker, or it is not known what was written: read again.
            _ => self.forget(subject),
        }
        written
    }

    pub(crate) fn forget(&self, subject: &Subject) {
        if let Some(entries) = &self.entries {
            entries.remove(subject);
        }
    }

    pub(crate) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// A clock that was set back makes what was read "later" old, not everlasting.
    fn is_fresh(&self, entry: &Entry, now: u64) -> bool {
        entry.epoch == self.epoch.load(Ordering::Acquire)
            && now.checked_sub(entry.loaded_at).is_some_and(|age| age < entry.lifetime)
    }

    fn is_usable(&self, entry: &Entry, now: u64) -> bool {
        let limit = entry.lifetime.saturating_add(self.stale_for);
        now.checked_sub(entry.loaded_at).is_some_and(|age| age < limit)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

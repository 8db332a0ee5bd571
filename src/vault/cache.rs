//! The read cache in front of a store: bounded, short-lived, one read per cold subject.
//!
//! A removal always wins over a fill: forgetting a subject also takes away the place that a read
//! under way would fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync};

use crate::config::CacheConfig;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::StoreError;

/// A subject's grants, newest first.
pub(crate) type Tokens = Arc<[WebflowToken]>;

/// That a subject has no grant is believed for so long at most.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// A failed read is the answer to those who waited for it, not to later requests.
const FAILURE_TTL: Duration = Duration::from_millis(50);

pub(crate) struct Cache {
    entries: Option<Entries>,
    ttl: u64,
    stale_for: u64,
    /// What was read in an earlier epoch is over.
    epoch: AtomicU64,
}

type Entries = sync::Cache<Subject, Entry, UnitWeighter, DefaultHashBuilder, MarkGone>;

#[derive(Clone)]
enum Entry {
    Known(Arc<Slot>),
    Failed { error: Arc<StoreError>, at: u64 },
}

/// What was read of a subject.
pub(crate) struct Slot {
    pub(crate) tokens: Tokens,
    reading: Arc<Reading>,
}

/// When something was read. Tokens are held outside of the cache as well: `gone` tells when it no
/// longer stands for them.
pub(crate) struct Reading {
    read_at: u64,
    lifetime: u64,
    epoch: u64,
    gone: AtomicBool,
}

impl Slot {
    fn mark_gone(&self) {
        self.reading.gone.store(true, Ordering::Release);
    }
}

/// Marks what is evicted to make room: nobody could be told of it afterwards.
#[derive(Clone)]
struct MarkGone;

impl Lifecycle<Subject, Entry> for MarkGone {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Subject, entry: Entry) {
        entry.mark_gone();
    }
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
    fn answer(self) -> Result<Arc<Slot>, StoreError> {
        match self {
            Self::Known(slot) => Ok(slot),
            Self::Failed { error, .. } => Err(share(error)),
        }
    }

    fn mark_gone(&self) {
        if let Self::Known(slot) = self {
            slot.mark_gone();
        }
    }
}

impl Cache {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let capacity = config.capacity;
        let entries = || {
            let hasher = DefaultHashBuilder::default();
            Entries::with(capacity, capacity as u64, UnitWeighter, hasher, MarkGone)
        };
        Self {
            entries: (capacity > 0).then(entries),
            ttl: millis(config.ttl),
            stale_for: millis(config.stale_for),
            epoch: AtomicU64::new(0),
        }
    }

    /// The subject's grants if they are known and fresh, `now` in Unix milliseconds.
    pub(crate) fn fresh(&self, subject: &Subject, now: u64) -> Option<Arc<Slot>> {
        match self.entries.as_ref()?.get(subject)? {
            Entry::Known(slot) if self.is_fresh(&slot.reading, now) => Some(slot),
            _ => None,
        }
    }

    /// Whether what was read is still to be believed.
    pub(crate) fn is_fresh(&self, reading: &Reading, now: u64) -> bool {
        !reading.gone.load(Ordering::Acquire)
            && reading.epoch == self.epoch.load(Ordering::Acquire)
            && is_within(reading.lifetime, reading.read_at, now)
    }

    /// The subject's grants: known, or read now. Of many that ask at once one reads.
    pub(crate) async fn get_or_load<F>(
        &self,
        subject: &Subject,
        now: u64,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<Slot>, StoreError>
    where
        F: Future<Output = Result<Tokens, StoreError>>,
    {
        let Some(entries) = &self.entries else { return Ok(self.uncached(load().await?)) };
        let mut stale = None;
        match entries.get(subject) {
            Some(Entry::Known(slot)) if self.is_fresh(&slot.reading, now) => return Ok(slot),
            Some(Entry::Known(slot)) => {
                let same =
                    |it: &Entry| matches!(it, Entry::Known(other) if Arc::ptr_eq(other, &slot));
                entries.remove_if(subject, same);
                slot.mark_gone();
                stale = Some(slot);
            }
            Some(Entry::Failed { error, at }) if is_within(millis(FAILURE_TTL), at, now) => {
                return Err(share(error));
            }
            Some(Entry::Failed { at, .. }) => {
                let same =
                    |it: &Entry| matches!(it, Entry::Failed { at: other, .. } if *other == at);
                entries.remove_if(subject, same);
            }
            None => {}
        }
        let guard = match entries.get_value_or_guard_async(subject).await {
            Ok(entry) => return entry.answer(),
            Err(guard) => guard,
        };
        let epoch = self.epoch.load(Ordering::Acquire);
        match load().await {
            Ok(tokens) => {
                let slot = Arc::new(self.slot(tokens, now, epoch));
                // The place is gone if the subject was forgotten meanwhile; then so is the slot.
                if guard.insert(Entry::Known(Arc::clone(&slot))).is_err() {
                    slot.mark_gone();
                }
                Ok(slot)
            }
            Err(error) => {
                if let Some(slot) = stale.filter(|slot| self.is_usable(slot, now)) {
                    tracing::warn!(
                        ?subject,
                        error = &error as &dyn std::error::Error,
                        "the store is down: a grant that was read earlier is used"
                    );
                    guard.insert(Entry::Known(Arc::clone(&slot))).ok();
                    return Ok(slot);
                }
                let error = Arc::new(error);
                guard.insert(Entry::Failed { error: Arc::clone(&error), at: now }).ok();
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
                let slot = Arc::new(self.slot(Tokens::from([token.clone()]), now, epoch));
                if guard.insert(Entry::Known(Arc::clone(&slot))).is_err() {
                    // What another read has put there meanwhile may be older than the write.
                    slot.mark_gone();
                    self.forget(subject);
                }
            }
            // Another read was quicker, or it is not known what was written: read again.
            _ => self.forget(subject),
        }
        written
    }

    fn slot(&self, tokens: Tokens, now: u64, epoch: u64) -> Slot {
        let negative = tokens.is_empty();
        let lifetime = if negative { self.ttl.min(millis(NEGATIVE_TTL)) } else { self.ttl };
        let reading = Reading { read_at: now, lifetime, epoch, gone: AtomicBool::new(false) };
        let reading = Arc::new(reading);
        for token in tokens.iter() {
            token.was_read(&reading);
        }
        Slot { tokens, reading }
    }

    /// What is used once.
    fn uncached(&self, tokens: Tokens) -> Arc<Slot> {
        let slot = self.slot(tokens, 0, 0);
        slot.mark_gone();
        Arc::new(slot)
    }

    pub(crate) fn forget(&self, subject: &Subject) {
        if let Some(entries) = &self.entries
            && let Some((_, entry)) = entries.remove(subject)
        {
            entry.mark_gone();
        }
    }

    pub(crate) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn is_usable(&self, slot: &Slot, now: u64) -> bool {
        let Reading { read_at, lifetime, .. } = *slot.reading;
        let limit = lifetime.saturating_add(self.stale_for);
        // That there is no grant is not worth believing when it cannot be looked up.
        let worth = self.stale_for > 0 && !slot.tokens.is_empty();
        worth && is_within(limit, read_at, now)
    }
}

/// Whether less than `time` has passed since then. A clock that was set back makes what happened
/// "later" old, not everlasting.
fn is_within(time: u64, since: u64, now: u64) -> bool {
    now.checked_sub(since).is_some_and(|age| age < time)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject::user("ada")
    }

    fn down() -> StoreError {
        StoreError::unavailable("down, as the test wants")
    }

    async fn read(cache: &Cache, now: u64, answer: Result<Tokens, StoreError>) -> Option<usize> {
        let slot = cache.get_or_load(&subject(), now, || async { answer }).await;
        slot.ok().map(|slot| slot.tokens.len())
    }

    #[tokio::test]
    async fn a_write_is_seen_though_a_read_of_the_same_moment_found_nothing_yet() {
        let cache = Cache::new(&CacheConfig::new());
        let write = async {
            // Another request has the subject forgotten, and reads before the row is there.
            cache.forget(&subject());
            assert_eq!(read(&cache, 0, Ok(Tokens::default())).await, Some(0));
            Ok(WebflowToken::for_test([]).build())
        };
        cache.write_through(&subject(), 0, write).await.unwrap();
        let written = Tokens::from([WebflowToken::for_test([]).build()]);
        assert_eq!(read(&cache, 0, Ok(written)).await, Some(1));
    }

    #[tokio::test]
    async fn a_failure_is_believed_for_a_moment_also_when_the_clock_is_set_back() {
        let cache = Cache::new(&CacheConfig::new());
        let tomorrow = 24 * 60 * 60 * 1000;
        assert_eq!(read(&cache, tomorrow, Err(down())).await, None);
        assert_eq!(read(&cache, tomorrow + 49, Ok(Tokens::default())).await, None);
        assert_eq!(read(&cache, 0, Ok(Tokens::default())).await, Some(0));
    }

    #[tokio::test]
    async fn n12_that_there_was_no_grant_is_not_used_while_the_store_is_down() {
        let cache = Cache::new(&CacheConfig::new().stale_for(Duration::from_secs(100)));
        assert_eq!(read(&cache, 0, Ok(Tokens::default())).await, Some(0));
        assert_eq!(read(&cache, 10_000, Err(down())).await, None);
        let token = Tokens::from([WebflowToken::for_test([]).build()]);
        assert_eq!(read(&cache, 20_000, Ok(token)).await, Some(1));
        assert_eq!(read(&cache, 30_000, Err(down())).await, Some(1));
    }
}

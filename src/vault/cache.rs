//! The read cache in front of a store: bounded, short-lived, one read per cold subject.
//!
//! An entry is shared by everybody, so no request owns it: reads run in tasks of their own, and a
//! request that goes away takes nothing with it. Invalidation always wins over a read that is under
//! way. An entry also remembers the session cookie that led to it, so that most requests need no
//! signature check.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use quick_cache::{Equivalent, sync};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::config::CacheConfig;
use crate::grant::token::WebflowToken;
use crate::identity::session_cookie::SESSION_ID_LEN;
use crate::identity::subject::Subject;
use crate::store::StoreError;
use crate::util::background::Tasks;
use crate::util::log;

/// A subject's grants, newest first.
pub type Tokens = Arc<[WebflowToken]>;

/// TTL of a negative entry (a subject without grants).
const NEGATIVE_TTL: u64 = 1000;

/// After a failed read the outcome is repeated for so long: the failure, or the stale entry.
const FAILURE_TTL: u64 = 50;

pub struct Cache {
    entries: Option<sync::Cache<Subject, Arc<Slot>>>,
    /// Reads under way.
    reads: Arc<Mutex<HashMap<Subject, Read>>>,
    /// Failed reads of a moment ago.
    failures: sync::Cache<Subject, Failure>,
    ttl: u64,
    stale_for: u64,
    /// Bumped by `forget_all`; entries read in an earlier epoch are stale.
    epoch: AtomicU64,
}

/// What was read of a subject.
pub struct Slot {
    pub tokens: Tokens,
    read_at: u64,
    lifetime: u64,
    epoch: u64,
    /// When a failed read last extended the entry's life.
    extended_at: AtomicU64,
    /// The session cookie that led here, once its signature was found good.
    verified: OnceLock<Verified>,
}

struct Verified {
    cookie: CookieWords,
    expires_unix_secs: u64,
    /// When the cookie is due to be set anew.
    slides_at: u64,
}

/// A session cookie's value in words, which are compared faster than bytes in constant time.
struct CookieWords {
    words: [u64; COOKIE_WORDS],
    /// The last eight bytes, which may overlap the last word.
    end: u64,
    len: usize,
}

/// The whole words of the longest value: those of `identity::session_cookie` have 110 bytes.
const COOKIE_WORDS: usize = 15;

impl CookieWords {
    /// `None` if the value is shorter or longer than that of any session cookie.
    fn new(cookie: &[u8]) -> Option<Self> {
        let (whole, end) = (cookie.as_chunks::<8>().0, cookie.last_chunk()?);
        let mut words = [0; COOKIE_WORDS];
        for (word, chunk) in words.get_mut(..whole.len())?.iter_mut().zip(whole) {
            *word = u64::from_ne_bytes(*chunk);
        }
        Some(Self { words, end: u64::from_ne_bytes(*end), len: cookie.len() })
    }

    /// Whether that is the value. The time does not depend on where two values differ.
    fn is(&self, cookie: &[u8]) -> bool {
        let (whole, Some(end)) = (cookie.as_chunks::<8>().0, cookie.last_chunk()) else {
            return false;
        };
        if self.len != cookie.len() {
            return false;
        }
        let mut difference = u64::from_ne_bytes(*end) ^ self.end;
        for (chunk, word) in whole.iter().zip(&self.words) {
            difference |= u64::from_ne_bytes(*chunk) ^ word;
        }
        difference.ct_eq(&0).into()
    }
}

/// A read under way. Dropping it from the map makes its outcome void for the cache.
struct Read {
    id: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Arc<Slot>, Arc<StoreError>>;

#[derive(Clone)]
struct Failure {
    error: Arc<StoreError>,
    at: u64,
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

impl Cache {
    pub fn new(config: &CacheConfig) -> Self {
        Self {
            entries: (config.capacity > 0).then(|| sync::Cache::new(config.capacity)),
            reads: Arc::default(),
            failures: sync::Cache::new(config.capacity.clamp(16, 1024)),
            ttl: millis(config.ttl),
            stale_for: millis(config.stale_for),
            epoch: AtomicU64::new(0),
        }
    }

    /// The subject's grants if they are cached and fresh, `now` in Unix milliseconds.
    pub fn fresh(&self, subject: &Subject, now: u64) -> Option<Arc<Slot>> {
        self.entries.as_ref()?.get(subject).filter(|slot| self.is_fresh(slot, now))
    }

    /// The newest grant of the session whose verified cookie has exactly this value.
    /// The second value says whether the cookie is due to be set anew.
    pub fn session(&self, cookie: &[u8], now: u64) -> Option<(WebflowToken, bool)> {
        let key = SessionKey::of(cookie)?;
        let slot = self.entries.as_ref()?.get(&key)?;
        let verified = slot.verified.get()?;
        let good = now / 1000 < verified.expires_unix_secs
            && self.is_fresh(&slot, now)
            && verified.cookie.is(cookie);
        let slides = now / 1000 >= verified.slides_at;
        if good { slot.tokens.first().map(|token| (token.clone(), slides)) } else { None }
    }

    fn is_fresh(&self, slot: &Slot, now: u64) -> bool {
        slot.epoch == self.epoch.load(Ordering::Acquire)
            && (is_within(slot.lifetime, slot.read_at, now)
                || is_within(FAILURE_TTL, slot.extended_at.load(Ordering::Relaxed), now)
                    && self.is_usable(slot, now))
    }

    /// Whether a stale entry may be served while the store is down. Negative entries never are.
    fn is_usable(&self, slot: &Slot, now: u64) -> bool {
        let limit = slot.lifetime.saturating_add(self.stale_for);
        self.stale_for > 0 && !slot.tokens.is_empty() && is_within(limit, slot.read_at, now)
    }

    /// The subject's grants: cached, or read now. Of many that ask at the same time one reads, in
    /// a task of its own.
    pub async fn get_or_read<F>(
        self: &Arc<Self>,
        tasks: &Tasks,
        subject: &Subject,
        now: u64,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<Slot>, StoreError>
    where
        F: Future<Output = Result<Tokens, StoreError>> + Send + 'static,
    {
        if let Some(slot) = self.fresh(subject, now) {
            return Ok(slot);
        }
        let failed = self.failures.get(subject).filter(|it| is_within(FAILURE_TTL, it.at, now));
        if let Some(failure) = failed {
            return Err(share(failure.error));
        }
        let mut outcome = self.join_or_start(tasks, subject, now, read);
        match outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) {
            Ok(Some(Ok(slot))) => Ok(slot),
            Ok(Some(Err(error))) => Err(share(error)),
            // The task panicked, or the runtime is shutting down.
            Ok(None) | Err(_) => Err(StoreError::Panicked),
        }
    }

    fn join_or_start<F>(
        self: &Arc<Self>,
        tasks: &Tasks,
        subject: &Subject,
        now: u64,
        read: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<Outcome>>
    where
        F: Future<Output = Result<Tokens, StoreError>> + Send + 'static,
    {
        let (id, sender, outcome) = {
            let mut reads = self.reads();
            if let Some(read) = reads.get(subject) {
                return read.outcome.clone();
            }
            let (sender, outcome) = watch::channel(None);
            let id = next_id();
            reads.insert(subject.clone(), Read { id, outcome: outcome.clone() });
            (id, sender, outcome)
        };
        let under_way = UnderWay { reads: Arc::clone(&self.reads), subject: subject.clone(), id };
        let (cache, read) = (Arc::clone(self), read());
        let epoch = self.epoch.load(Ordering::Acquire);
        tasks.spawn(async move {
            let outcome = match read.await {
                Ok(tokens) => {
                    let slot = Arc::new(cache.slot(tokens, now, epoch));
                    under_way.finish(|subject| cache.insert(subject, &slot));
                    Ok(slot)
                }
                Err(error) => cache.failed(&under_way, error, now),
            };
            sender.send_replace(Some(outcome));
        });
        outcome
    }

    /// The outcome of a read that failed: the entry that was there before, while it may be used.
    fn failed(&self, under_way: &UnderWay, error: StoreError, now: u64) -> Outcome {
        let subject = &under_way.subject;
        let stale = self.entries.as_ref().and_then(|entries| entries.get(subject));
        if let Some(slot) = stale.filter(|slot| self.is_usable(slot, now)) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                target: log::STORE,
                ?subject,
                error,
                "the store is down; using a grant that was read earlier"
            );
            slot.extended_at.store(now, Ordering::Relaxed);
            return Ok(slot);
        }
        let error = Arc::new(error);
        let failure = Failure { error: Arc::clone(&error), at: now };
        under_way.finish(|subject| self.failures.insert(subject.clone(), failure));
        Err(error)
    }

    fn slot(&self, tokens: Tokens, now: u64, epoch: u64) -> Slot {
        let lifetime = if tokens.is_empty() { self.ttl.min(NEGATIVE_TTL) } else { self.ttl };
        Slot {
            tokens,
            read_at: now,
            lifetime,
            epoch,
            extended_at: AtomicU64::new(0),
            verified: OnceLock::new(),
        }
    }

    fn insert(&self, subject: &Subject, slot: &Arc<Slot>) {
        if let Some(entries) = &self.entries {
            entries.insert(subject.clone(), Arc::clone(slot));
        }
    }

    /// Takes over what was just written. Called by the writer before the next write of the subject
    /// may begin.
    pub fn written(&self, subject: &Subject, token: &WebflowToken, now: u64) {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.forget(subject);
        self.insert(subject, &Arc::new(self.slot(Tokens::from([token.clone()]), now, epoch)));
    }

    /// Drops what is known of the subject, and makes the reads that are under way void.
    pub fn forget(&self, subject: &Subject) {
        self.reads().remove(subject);
        self.failures.remove(subject);
        if let Some(entries) = &self.entries {
            entries.remove(subject);
        }
    }

    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.reads().clear();
        self.failures.clear();
    }

    fn reads(&self) -> MutexGuard<'_, HashMap<Subject, Read>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Remembers the cookie by which its session was found, after its signature was verified.
    pub fn remember(&self, cookie: &str, expires_unix_secs: u64, slides_at: u64) {
        if let Some(cookie) = CookieWords::new(cookie.as_bytes()) {
            self.verified.get_or_init(|| Verified { cookie, expires_unix_secs, slides_at });
        }
    }
}

/// Takes a read out of the map when its task ends, also by a panic.
struct UnderWay {
    reads: Arc<Mutex<HashMap<Subject, Read>>>,
    subject: Subject,
    id: u64,
}

impl UnderWay {
    /// Ends the read. Does `fill` only if the subject was not invalidated meanwhile: an
    /// invalidation cannot come in between.
    fn finish(&self, fill: impl FnOnce(&Subject)) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.get(&self.subject).is_some_and(|read| read.id == self.id) {
            fill(&self.subject);
            reads.remove(&self.subject);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.finish(|_| ());
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The key of a session's subject, without an allocation.
struct SessionKey([u8; KEY_LEN]);

const PREFIX_LEN: usize = Subject::SESSION.len();
const KEY_LEN: usize = PREFIX_LEN + SESSION_ID_LEN;

impl SessionKey {
    /// The key for the id at the beginning of a cookie's value, whether or not it is one.
    fn of(cookie: &[u8]) -> Option<Self> {
        let id = cookie.first_chunk::<SESSION_ID_LEN>()?;
        let mut key = [0; KEY_LEN];
        let (prefix, rest) = key.split_at_mut(PREFIX_LEN);
        prefix.copy_from_slice(Subject::SESSION.as_bytes());
        rest.copy_from_slice(id);
        Some(Self(key))
    }
}

/// Looks up the entry of a [`Subject`] without the check that the key is UTF-8.
impl Equivalent<Subject> for SessionKey {
    fn equivalent(&self, subject: &Subject) -> bool {
        self.0 == *subject.as_str().as_bytes()
    }
}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
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
    use std::sync::atomic::AtomicUsize;

    struct Fixture {
        cache: Arc<Cache>,
        tasks: Tasks,
    }

    fn fixture(config: &CacheConfig) -> Fixture {
        Fixture { cache: Arc::new(Cache::new(config)), tasks: Tasks::default() }
    }

    fn subject() -> Subject {
        Subject::user("ada")
    }

    fn down() -> StoreError {
        StoreError::unavailable("down, as the test wants")
    }

    fn grant() -> Tokens {
        Tokens::from([WebflowToken::for_test([]).build()])
    }

    impl Fixture {
        async fn read(&self, now: u64, answer: Result<Tokens, StoreError>) -> Option<usize> {
            let read = || async { answer };
            let slot = self.cache.get_or_read(&self.tasks, &subject(), now, read).await;
            slot.ok().map(|slot| slot.tokens.len())
        }
    }

    #[tokio::test]
    async fn an_invalidation_voids_the_read_that_is_under_way() {
        let Fixture { cache, tasks } = fixture(&CacheConfig::new());
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let (subject, never) = (subject(), down());
        let read = cache.get_or_read(&tasks, &subject, 0, || async {
            gate.await.ok();
            Ok(Tokens::default())
        });
        let written = async {
            tokio::task::yield_now().await;
            let token = WebflowToken::for_test([]).build();
            cache.written(&subject, &token, 0);
            open.send(()).ok();
        };
        let (read, ()) = tokio::join!(read, written);
        assert!(read.unwrap().tokens.is_empty(), "its asker gets what was read");
        let cached = cache.get_or_read(&tasks, &subject, 0, || async { Err(never) }).await;
        assert_eq!(cached.unwrap().tokens.len(), 1, "the cache keeps what was written");
    }

    #[tokio::test]
    async fn n10_one_of_many_reads_and_a_dropped_request_takes_nothing_away() {
        let Fixture { cache, tasks } = fixture(&CacheConfig::new());
        let grant = grant();
        let reads = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let subject = subject();
        let ask = || {
            let (reads, gate) = (Arc::clone(&reads), Arc::clone(&gate));
            let grant = grant.clone();
            cache.get_or_read(&tasks, &subject, 0, move || async move {
                reads.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.ok();
                Ok(grant)
            })
        };
        let gone = futures_util::FutureExt::now_or_never(ask());
        assert!(gone.is_none(), "dropped while it waits");
        let others = futures_util::future::join_all((0..100).map(|_| ask()));
        let open = async { gate.add_permits(1) };
        let (others, ()) = tokio::join!(others, open);
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        assert!(cache.reads().is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_repeated_briefly_even_if_the_clock_goes_back() {
        let fixture = fixture(&CacheConfig::new());
        let tomorrow = 24 * 60 * 60 * 1000;
        assert_eq!(fixture.read(tomorrow, Err(down())).await, None);
        assert_eq!(fixture.read(tomorrow + 49, Ok(Tokens::default())).await, None);
        assert_eq!(fixture.read(0, Ok(Tokens::default())).await, Some(0));
    }

    mod c6_stale_entries {
        use super::*;

        #[tokio::test]
        async fn a_negative_entry_is_never_served_while_the_store_is_down() {
            let fixture = fixture(&CacheConfig::new().stale_for(Duration::from_secs(100)));
            assert_eq!(fixture.read(0, Ok(Tokens::default())).await, Some(0));
            assert_eq!(fixture.read(10_000, Err(down())).await, None);
            assert_eq!(fixture.read(20_000, Ok(grant())).await, Some(1));
            assert_eq!(fixture.read(30_000, Err(down())).await, Some(1));
        }

        #[tokio::test]
        async fn a_request_that_leaves_does_not_take_the_entry_with_it() {
            let Fixture { cache, tasks } = fixture(&CacheConfig::new().stale_for(HOUR));
            let subject = subject();
            let fill = cache.get_or_read(&tasks, &subject, 0, || async { Ok(grant()) });
            assert!(fill.await.is_ok());
            let hang = cache.get_or_read(&tasks, &subject, 10_000, std::future::pending);
            assert!(futures_util::FutureExt::now_or_never(hang).is_none());
            cache.reads().clear();
            let fails = cache.get_or_read(&tasks, &subject, 20_000, || async { Err(down()) });
            assert_eq!(fails.await.unwrap().tokens.len(), 1);
            // For a moment nobody waits for the store.
            assert!(cache.fresh(&subject, 20_049).is_some());
            assert!(cache.fresh(&subject, 20_050).is_none());
        }

        const HOUR: Duration = Duration::from_secs(3600);
    }

    #[tokio::test]
    async fn c13_more_subjects_than_fit_are_bounded() {
        let Fixture { cache, tasks } = fixture(&CacheConfig::new().capacity(100));
        let grant = grant();
        for user in 0..1000 {
            let (subject, grant) = (Subject::user(user), grant.clone());
            let read = cache.get_or_read(&tasks, &subject, 0, || async { Ok(grant) });
            assert!(read.await.is_ok());
        }
        assert!(cache.entries.as_ref().is_some_and(|entries| entries.len() <= 101));
        for user in 0..5000 {
            let subject = Subject::user(user);
            let read = cache.get_or_read(&tasks, &subject, 9000, || async { Err(down()) });
            assert!(read.await.is_err());
        }
        assert!(cache.failures.len() <= 1025);
        assert!(cache.reads().is_empty());
    }

    #[tokio::test]
    async fn a_verified_session_is_found_by_exactly_its_cookie_until_it_expires() {
        let Fixture { cache, tasks } = fixture(&CacheConfig::new());
        let id = "A".repeat(43);
        let (cookie, subject) = (format!("{id}.signature"), Subject::session(&id));
        let read = cache.get_or_read(&tasks, &subject, 0, || async { Ok(grant()) });
        let slot = read.await.unwrap();
        let found = |cookie: &str, now| cache.session(cookie.as_bytes(), now).is_some();
        assert!(!found(&cookie, 0), "not verified yet");
        slot.remember(&cookie, 3, u64::MAX);
        assert!(found(&cookie, 0) && found(&cookie, 2999));
        assert!(!found(&cookie, 3000), "the session has ended");
        assert!(!found(&format!("{id}.signaturf"), 0), "another value");
        assert!(!found(&id, 0) && !found("", 0));
        cache.forget(&subject);
        assert!(!found(&cookie, 0), "logged out");
    }
}

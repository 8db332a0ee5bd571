//! Grants above the store: sealed on the way in, opened on the way out.
//!
//! A sealed grant is bound to its subject, grant id and version, so rows that were swapped,
//! truncated or put together from two writes open no more. Such a row counts as no token and is
//! logged by a digest of its subject.

pub mod cache;
mod plain;
mod reseal;
mod scan;
mod seal;
mod writes;

use std::borrow::Cow;
use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::api::ApiClient;
use crate::crypto::keyring::Keyring;
use crate::grant::details::GrantDetails;
use crate::grant::policy::GrantPolicy;
use crate::grant::scope::Scopes;
use crate::grant::state::TokenStates;
use crate::grant::token::{Grant, WebflowToken};
use crate::identity::app::AppId;
use crate::identity::subject::Subject;
use crate::store::{ErasedStore, Invalidator, SealedToken, StoreError, TokenKey, TokenVersion};
use crate::util::background::Tasks;
use crate::util::clock::Clock;
use crate::util::{log, metrics};
use crate::vault::cache::{Cache, Slot, Tokens};

pub use reseal::Resealed;
#[cfg(feature = "_fuzzing")]
#[cfg(feature = "_fuzzing")]
pub use seal::context;
pub use seal::unseal;
pub use writes::{Draft, WriteLocks};

/// For how long a failure of the store keeps newcomers from being sent to Webflow.
const JUST_FAILED_MILLIS: u64 = 5000;

pub struct Vault {
    /// Whose rows are read and written; the store may hold other apps' as well.
    pub app: AppId,
    pub store: Arc<dyn ErasedStore>,
    pub keyring: Keyring,
    pub clock: Clock,
    pub client: Arc<ApiClient>,
    /// The time for one operation of the store.
    pub budget: Duration,
    pub cache: Arc<Cache>,
    pub grants: GrantPolicy,
    /// The scopes that the application asks for at every login.
    pub configured: Scopes,
    pub last_version: AtomicI64,
    pub locks: WriteLocks,
    /// What is known of tokens, whoever has read them.
    pub states: TokenStates,
    /// Whether grants are looked up at Webflow at all.
    pub introspect: bool,
    /// When the store failed last, in Unix milliseconds; 0 if it has worked since.
    pub failed_at: AtomicU64,
    pub tasks: Tasks,
    /// The task that hears of other instances' changes; it ends with the vault.
    pub watcher: Watcher,
}

/// Started at the first lookup, since the layer may be built outside of a runtime; and again where
/// that runtime has ended before the layer.
#[derive(Default)]
pub struct Watcher(Mutex<Option<AbortHandle>>);

impl Watcher {
    fn watch(&self, store: &Arc<dyn ErasedStore>, changes: impl FnOnce() -> Invalidator) {
        let mut task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let watch = Arc::clone(store).watch(changes());
        let watching = async {
            watch.await;
            // A store with nothing to tell is not asked again: the task ends with its runtime.
            pending::<()>().await;
        };
        *task = Some(tokio::spawn(watching).abort_handle());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Vault {
    /// The subject itself, for a caller that may have it from a store's row.
    pub fn public<'s>(&self, subject: &'s Subject) -> Cow<'s, Subject> {
        subject.of_app(&self.app).map_or(Cow::Borrowed(subject), Cow::Owned)
    }

    /// The subject's grants, newest first.
    pub async fn load(self: &Arc<Self>, subject: &Subject) -> Result<Tokens, StoreError> {
        Ok(Arc::clone(&self.load_slot(subject).await?.tokens))
    }

    /// Like [`load`](Self::load), with the cache's entry.
    pub async fn load_slot(self: &Arc<Self>, subject: &Subject) -> Result<Arc<Slot>, StoreError> {
        let changes = || Invalidator { cache: Arc::clone(&self.cache), app: self.app.clone() };
        self.watcher.watch(&self.store, changes);
        let now = self.clock.unix_millis();
        let (vault, reads) = (Arc::clone(self), subject.clone());
        let read = || async move { vault.read(&reads).await };
        self.cache.get_or_read(&self.tasks, subject, now, read).await
    }

    /// The cached entry, without waiting; `now` in Unix milliseconds.
    pub fn cached(&self, subject: &Subject, now: u64) -> Option<Arc<Slot>> {
        let slot = self.cache.fresh(subject, now);
        metrics::cache(slot.is_some());
        slot
    }

    /// Reads past the cache, for decisions that a stale entry must not make.
    pub async fn load_anew(self: &Arc<Self>, subject: &Subject) -> Result<Tokens, StoreError> {
        self.cache.forget(subject);
        self.load(subject).await
    }

    /// Whether the store has failed within the last seconds, and not worked since.
    pub fn has_just_failed(&self) -> bool {
        let failed = self.failed_at.load(Ordering::Relaxed);
        let passed = self.clock.unix_millis().checked_sub(failed);
        failed > 0 && passed.is_some_and(|passed| passed < JUST_FAILED_MILLIS)
    }

    /// Notes how an operation of the store has ended.
    fn note<T>(&self, outcome: &Result<T, StoreError>) {
        let failed = match outcome {
            Ok(_) => 0,
            Err(error) if error.is_outage() => self.clock.unix_millis(),
            Err(_) => return,
        };
        self.failed_at.store(failed, Ordering::Relaxed);
    }

    async fn read(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        let stored = subject.stored(&self.app)?;
        let timer = metrics::Timer::start();
        let rows = self.within(self.store.load(&stored)).await;
        self.note(&rows);
        timer.store("load");
        let rows = rows?;
        Ok(self.open_all(&rows, |row| *row.key().subject() == stored).into())
    }

    pub async fn by_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        let rows = self.within(self.store.by_site(site_id)).await?;
        let mut tokens = self.open_all(&self.own(rows), |_| true);
        // The index beside the sealed grant is not authenticated; what is sealed decides.
        tokens.retain(|token| token.covers_site(site_id));
        Ok(tokens)
    }

    pub async fn by_workspace(&self, id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        let rows = self.within(self.store.by_workspace(id)).await?;
        let mut tokens = self.open_all(&self.own(rows), |_| true);
        tokens.retain(|token| token.workspaces().iter().any(|workspace| workspace == id));
        Ok(tokens)
    }

    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.within(self.store.healthy()).await
    }

    pub async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        self.within(self.store.warnings()).await
    }

    async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.budget, operation).await.unwrap_or(Err(StoreError::Timeout))
    }

    fn open_all(
        &self,
        rows: &[SealedToken],
        belongs: impl Fn(&SealedToken) -> bool,
    ) -> Vec<WebflowToken> {
        let mut tokens: Vec<_> = rows
            .iter()
            .filter_map(|row| if belongs(row) { self.open_or_warn(row) } else { warn_of(row) })
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.grant().version));
        tokens
    }

    /// The rows of this app among those of all.
    fn own(&self, mut rows: Vec<SealedToken>) -> Vec<SealedToken> {
        rows.retain(|row| row.key().of_app(&self.app).is_some());
        rows
    }

    /// The grant of a row of this app; logs one that does not open.
    pub fn open_or_warn(&self, row: &SealedToken) -> Option<WebflowToken> {
        self.open(row).or_else(|| warn_of(row))
    }

    fn open(&self, row: &SealedToken) -> Option<WebflowToken> {
        let key = row.key().of_app(&self.app)?;
        let details = unseal(&self.keyring, row)?;
        Some(self.token(key, row.version(), details))
    }

    fn token(&self, key: TokenKey, version: TokenVersion, details: GrantDetails) -> WebflowToken {
        let outdated = details.missing(self.introspect).any();
        let state = self.states.get_or_create(version, outdated);
        // A scope that was asked for and is not granted was declined.
        let asked = details.asked.union(&details.scopes);
        let lacks_configured = !asked.contains_all(&self.configured);
        let client = Arc::clone(&self.client);
        WebflowToken::new(Grant { key, version, details, lacks_configured, state, client })
    }
}

fn warn_of(row: &SealedToken) -> Option<WebflowToken> {
    tracing::warn!(
        target: log::STORE, subject = ?row.key().subject(),
        "a stored grant does not open with any key of the ring: it counts as none"
    );
    None
}

//! Writes: each in a task of its own, and those of one subject one after another.
//!
//! A write that was begun comes to its end, also when the request that wanted it is dropped or the
//! time for it is over. So that a late one never overtakes what came after it, the writes of a
//! subject take turns.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::Vault;
use super::sealed_form::{Plain, context};
use crate::crypto::keyring::Purpose;
use crate::crypto::random;
use crate::grant::policy::GrantPolicy;
use crate::grant::token::GrantDetails;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};
use crate::util::metrics;

/// A write that has not ended by then is dropped after all: a store that hangs must not take ever
/// more memory.
const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// How many subjects can be written at the same time at least, unless chance has it otherwise.
const TURNS: u8 = 64;

/// Whose turn it is to write: subjects share few locks rather than have one each, which would
/// have to be kept count of.
pub(crate) struct Turns(Vec<Arc<Mutex<()>>>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl Turns {
    fn of(&self, subject: &Subject) -> Arc<Mutex<()>> {
        let [first, ..] = subject.digest();
        self.0.get(usize::from(first % TURNS)).map_or_else(Arc::default, Arc::clone)
    }
}

/// A grant that is sealed and not yet known to be stored: every attempt writes the same row.
#[derive(Clone)]
pub(crate) struct Draft {
    row: SealedToken,
    token: WebflowToken,
}

impl Draft {
    /// The grant, as it is once it is stored.
    pub(crate) const fn token(&self) -> &WebflowToken {
        &self.token
    }
}

impl Vault {
    /// Seals the grant with the newest key, under a new version.
    pub(crate) fn draft(&self, key: TokenKey, details: GrantDetails) -> Result<Draft, StoreError> {
        key.subject().validate()?;
        let version = self.next_version();
        let row = self.seal(&key, version, &details)?;
        Ok(Draft { row, token: self.token(key, version, details) })
    }

    /// Writes a draft.
    pub(crate) async fn save(&self, draft: &Draft) -> Result<(), StoreError> {
        let subject = draft.row.key().subject();
        let (store, row) = (Arc::clone(&self.store), draft.row.clone());
        let write = async {
            let timer = metrics::Timer::start();
            let saved = self.write(subject, async move { store.save(&row).await }).await;
            timer.store("save");
            saved.map(|()| draft.token.clone())
        };
        if self.grants == GrantPolicy::Single {
            let now = self.clock.unix_millis();
            return self.cache.write_through(subject, now, write).await.map(drop);
        }
        let written = write.await;
        self.cache.forget(subject);
        written.map(drop)
    }

    /// A version greater than any that this process has given, also within a millisecond and when
    /// the clock was set back.
    fn next_version(&self) -> TokenVersion {
        let drawn = TokenVersion::at(self.clock.unix_millis(), u32::from_be_bytes(random::bytes()));
        let after = |last: i64| drawn.as_i64().max(last.saturating_add(1));
        let last = self
            .last_version
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)))
            .unwrap_or_else(|last| last);
        TokenVersion::from_i64(after(last)).unwrap_or(drawn)
    }

    /// Writes what has been learned of a grant, unless it was removed or replaced meanwhile. The
    /// version stays: a removal that names it still finds it.
    pub(crate) async fn update(
        &self,
        token: &WebflowToken,
        details: &GrantDetails,
    ) -> Result<bool, StoreError> {
        let grant = token.grant();
        let row = self.seal(&grant.key, grant.version, details)?;
        let (store, cache, token) =
            (Arc::clone(&self.store), Arc::clone(&self.cache), token.clone());
        let timer = metrics::Timer::start();
        let updated = self.write(grant.key.subject(), async move {
            if token.is_dead() {
                return Ok(false);
            }
            let updated = store.update(&row).await;
            cache.forget(token.subject());
            updated
        });
        let updated = updated.await;
        timer.store("update");
        updated
    }

    /// Removes exactly this version of the grant. True if it was there.
    pub(crate) async fn remove(&self, token: &WebflowToken) -> Result<bool, StoreError> {
        token.mark_dead();
        let subject = token.subject();
        let (store, cache, token) =
            (Arc::clone(&self.store), Arc::clone(&self.cache), token.clone());
        let timer = metrics::Timer::start();
        let removed = self.write(subject, async move {
            let grant = token.grant();
            let removed = store.remove(&grant.key, grant.version).await;
            // Also when the store fails: better to read once more than to serve what should be
            // gone.
            cache.forget(token.subject());
            removed
        });
        let removed = removed.await;
        timer.store("remove");
        self.cache.forget(subject);
        removed
    }

    /// Runs a write when it is its turn, in a task of its own, and waits for it within the budget.
    async fn write<T: Send + 'static>(
        &self,
        subject: &Subject,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (turn, cache, subject) =
            (self.turns.of(subject), Arc::clone(&self.cache), subject.clone());
        let (answer, outcome) = oneshot::channel();
        let task = async move {
            let in_turn = async {
                let _turn = turn.lock().await;
                write.await
            };
            let written = timeout(LONGEST_WRITE, in_turn).await;
            if answer.send(written.unwrap_or(Err(StoreError::Timeout))).is_err() {
                // Nobody has waited that long, and what was read meanwhile is older than this.
                cache.forget(&subject);
            }
        };
        self.tasks.spawn(task);
        let outcome =
            async { outcome.await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone))) };
        self.within(outcome).await
    }

    fn seal(
        &self,
        key: &TokenKey,
        version: TokenVersion,
        details: &GrantDetails,
    ) -> Result<SealedToken, StoreError> {
        let json = Plain::to_json(details)?;
        let sealed = self.keyring.seal(Purpose::Token, &context(key, version), &json);
        let coverage = details.coverage.clone().unwrap_or_default();
        Ok(SealedToken::new(key.clone(), version, sealed, details.obtained_at)
            .with_sites(coverage.sites)
            .with_workspaces(coverage.workspaces))
    }
}

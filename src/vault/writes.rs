//! Writes: each in its own task, and those of one subject one after another.
//!
//! A write that has begun runs to its end, also when the request that wanted it is dropped or stops
//! waiting. So that a late write never overtakes a newer one, the writes of a subject take turns.
//! The cache is brought up to date before the next write may begin.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use super::Vault;
use super::seal::seal;
use crate::crypto::random;
use crate::grant::details::GrantDetails;
use crate::grant::policy::GrantPolicy;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};
use crate::util::metrics;

/// A write that has not ended by then is dropped after all: a store that hangs must not take ever
/// more memory.
const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// One lock per subject that is being written.
#[derive(Default)]
pub struct WriteLocks(Mutex<HashMap<Subject, Weak<AsyncMutex<()>>>>);

impl WriteLocks {
    fn of(&self, subject: &Subject) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(subject).and_then(Weak::upgrade) {
            return lock;
        }
        // Before the map grows, locks that nobody holds any more make room.
        if locks.len() == locks.capacity() {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::default();
        locks.insert(subject.clone(), Arc::downgrade(&lock));
        lock
    }
}

/// The token among those stored that is this version of this grant.
fn same_version<'s>(stored: &'s [WebflowToken], token: &WebflowToken) -> Option<&'s WebflowToken> {
    let wanted = token.grant();
    stored.iter().find(|it| {
        let grant = it.grant();
        grant.key == wanted.key && grant.version == wanted.version
    })
}

/// A grant that is sealed and not yet known to be stored: every attempt writes the same row.
#[derive(Clone)]
pub struct Draft {
    row: SealedToken,
    token: WebflowToken,
}

impl Draft {
    /// The grant, as it is once it is stored.
    pub const fn token(&self) -> &WebflowToken {
        &self.token
    }
}

impl Vault {
    /// Seals the grant with the newest key, under a new version.
    pub fn draft(&self, key: TokenKey, details: GrantDetails) -> Result<Draft, StoreError> {
        key.subject().validate()?;
        let version = self.next_version();
        let row = self.seal(&key, version, &details)?;
        Ok(Draft { row, token: self.token(key, version, details) })
    }

    /// Writes a draft.
    pub async fn save(self: &Arc<Self>, draft: &Draft) -> Result<(), StoreError> {
        let (vault, draft) = (Arc::clone(self), draft.clone());
        let timer = metrics::Timer::start();
        let saved = self.write(draft.token.subject().clone(), async move {
            let saved = vault.store.save(&draft.row).await;
            if saved.is_ok() && vault.grants == GrantPolicy::Single {
                let (token, now) = (&draft.token, vault.clock.unix_millis());
                vault.cache.written(token.subject(), token, now);
            } else {
                vault.cache.forget(draft.token.subject());
            }
            saved
        });
        let saved = saved.await;
        timer.store("save");
        saved
    }

    /// Writes a draft in the place of exactly this version of a grant. False if that version was
    /// removed or replaced meanwhile. Writing it again changes nothing.
    pub async fn put_back(
        self: &Arc<Self>,
        token: &WebflowToken,
        draft: &Draft,
    ) -> Result<bool, StoreError> {
        let (vault, token, draft) = (Arc::clone(self), token.clone(), draft.clone());
        let timer = metrics::Timer::start();
        let replaced = self.write(token.subject().clone(), async move {
            let stored = vault.read(token.subject()).await?;
            if same_version(&stored, &token).is_none() {
                return Ok(false);
            }
            let saved = vault.store.save(&draft.row).await;
            vault.cache.forget(token.subject());
            saved.map(|()| true)
        });
        let replaced = replaced.await;
        timer.store("save");
        replaced
    }

    /// A version greater than any that this process has given, also within a millisecond and when
    /// the clock was set back.
    fn next_version(&self) -> TokenVersion {
        let drawn =
            TokenVersion::generate(self.clock.unix_millis(), u32::from_be_bytes(random::bytes()));
        let after = |last: i64| drawn.as_i64().max(last.saturating_add(1));
        let last = self
            .last_version
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)))
            .unwrap_or_else(|last| last);
        TokenVersion::from_i64(after(last)).unwrap_or(drawn)
    }

    /// Changes what is known of a grant, unless it was removed or replaced meanwhile. The change is
    /// made to the row as it is then, so that two changes do not undo each other. The version
    /// stays: a removal that names it still finds it.
    pub async fn amend(
        self: &Arc<Self>,
        token: &WebflowToken,
        change: impl FnOnce(&mut GrantDetails) + Send + 'static,
    ) -> Result<bool, StoreError> {
        let (vault, token) = (Arc::clone(self), token.clone());
        let timer = metrics::Timer::start();
        let updated = self.write(token.subject().clone(), async move {
            if token.is_dead() {
                return Ok(false);
            }
            let grant = token.grant();
            let stored = vault.read(token.subject()).await?;
            let Some(same) = same_version(&stored, &token) else { return Ok(false) };
            let mut details = same.grant().details.clone();
            change(&mut details);
            let row = vault.seal(&grant.key, grant.version, &details)?;
            let updated = vault.store.update(&row).await;
            vault.cache.forget(token.subject());
            updated
        });
        let updated = updated.await;
        timer.store("update");
        updated
    }

    /// Removes exactly this version of the grant. True if it was there.
    pub async fn remove(self: &Arc<Self>, token: &WebflowToken) -> Result<bool, StoreError> {
        self.remove_or_late(token, || ()).await
    }

    /// Removes exactly this version of a row of this app.
    pub async fn remove_row(self: &Arc<Self>, row: SealedToken) -> Result<bool, StoreError> {
        let subject = self.public(row.key().subject()).into_owned();
        self.remove_stored(subject, row.key().clone(), row.version(), || ()).await
    }

    /// Like [`remove`](Self::remove). Calls `late` if the row is removed after the store's budget:
    /// the caller has been told of a timeout by then.
    pub async fn remove_or_late(
        self: &Arc<Self>,
        token: &WebflowToken,
        late: impl FnOnce() + Send + 'static,
    ) -> Result<bool, StoreError> {
        let stored = token.grant().key.stored(&self.app)?;
        self.remove_stored(token.subject().clone(), stored, token.grant().version, late).await
    }

    async fn remove_stored(
        self: &Arc<Self>,
        subject: Subject,
        stored: TokenKey,
        version: TokenVersion,
        late: impl FnOnce() + Send + 'static,
    ) -> Result<bool, StoreError> {
        let (vault, own) = (Arc::clone(self), subject.clone());
        let timer = metrics::Timer::start();
        let remove = async move {
            let removed = vault.store.remove(&stored, version).await;
            // Also when the store fails: better to read once more than to serve what should be
            // gone.
            vault.cache.forget(&own);
            removed
        };
        let late = |removed| {
            if removed {
                late();
            }
        };
        let removed = self.write_or_late(subject, remove, late).await;
        timer.store("remove");
        removed
    }

    /// Runs a write in its turn.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        subject: Subject,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_or_late(subject, write, drop).await
    }

    /// Runs a write when it is its turn, in its own task, and waits for it within the store's
    /// budget. What a write that ends later returns goes to `late`.
    async fn write_or_late<T: Send + 'static>(
        self: &Arc<Self>,
        subject: Subject,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        late: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (vault, turn) = (Arc::clone(self), self.locks.of(&subject));
        let (answer, outcome) = oneshot::channel();
        self.tasks.spawn(async move {
            let in_turn = async {
                let _turn = turn.lock().await;
                write.await
            };
            let written = timeout(LONGEST_WRITE, in_turn).await.unwrap_or_else(|_| {
                // The engine may have done it all the same.
                vault.cache.forget(&subject);
                Err(StoreError::Timeout)
            });
            vault.note(&written);
            if let Err(Ok(written)) = answer.send(written) {
                late(written);
            }
        });
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
        seal(&self.keyring, key.stored(&self.app)?, version, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_that_nobody_holds_are_removed() {
        let locks = WriteLocks::default();
        let held = locks.of(&Subject::user("held"));
        for user in 0..10_000 {
            drop(locks.of(&Subject::user(user)));
        }
        assert!(Arc::ptr_eq(&held, &locks.of(&Subject::user("held"))));
        let len = locks.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert!(len < 10, "{len} locks");
    }
}

//! Writes that wait for the same engine are made together: one transaction, one round trip, one
//! sync of the disk for all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{SealedToken, StoreError, TokenKey};

/// The most that are made together, so that none waits long for others.
const MOST: usize = 64;
const MOST_BYTES: usize = 256 * 1024;

/// A [`save`](super::TokenStore::save) or an [`update`](super::TokenStore::update).
#[derive(Debug)]
pub(super) struct Write {
    pub(super) token: SealedToken,
    /// Whether the row is replaced only if it has the token's version.
    pub(super) is_update: bool,
}

/// An engine that makes several writes in one step.
pub(super) trait WriteTogether: Sync {
    /// Makes the writes, each of another key; whether each found what it replaces.
    fn write_together(
        &self,
        writes: &[Arc<Write>],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// Whether the others may succeed without the one that met this error. Each is made alone then.
    fn may_be_of_one(error: &StoreError) -> bool {
        let _ = error;
        false
    }
}

#[derive(Debug)]
pub(super) struct Group {
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever holds it makes the writes that wait.
    turn: tokio::sync::Mutex<()>,
    patience: Duration,
}

#[derive(Debug)]
struct Waiting {
    write: Arc<Write>,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

impl Group {
    /// A write waits for its turn as long as `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::new(()), patience }
    }

    /// Makes the write, together with those that wait by then. A single one does not wait.
    pub(super) async fn write(
        &self,
        engine: &impl WriteTogether,
        token: &SealedToken,
        is_update: bool,
    ) -> Result<bool, StoreError> {
        let write = Arc::new(Write { token: token.clone(), is_update });
        let mut patience = std::pin::pin!(sleep(self.patience));
        let mut is_patient = true;
        loop {
            let (done, mut outcome) = oneshot::channel();
            self.waiting().push(Waiting { write: Arc::clone(&write), done });
            let received = loop {
                tokio::select! {
                    biased;
                    received = &mut outcome => break received,
                    _turn = self.turn.lock() => self.make(engine).await,
                    // Once others are making it, its outcome comes soon.
                    () = &mut patience, if is_patient => {
                        is_patient = false;
                        if self.withdraw(&write) {
                            return Err(StoreError::Timeout);
                        }
                    }
                }
            };
            // Without an outcome, the one that was making it was dropped: once more.
            if let Ok(result) = received {
                return result;
            }
        }
    }

    async fn make<E: WriteTogether>(&self, engine: &E) {
        let batch = self.take();
        let writes: Vec<_> = batch.iter().map(|it| Arc::clone(&it.write)).collect();
        if writes.is_empty() {
            return;
        }
        match engine.write_together(&writes).await {
            Ok(found) => {
                for (waiting, found) in batch.into_iter().zip(found) {
                    waiting.done.send(Ok(found)).ok();
                }
            }
            Err(error) if batch.len() > 1 && E::may_be_of_one(&error) => {
                for waiting in batch {
                    let alone = std::slice::from_ref(&waiting.write);
                    let found = engine.write_together(alone).await;
                    waiting.done.send(found.map(|found| found == [true])).ok();
                }
            }
            Err(error) => {
                let copy = error.copies();
                batch.into_iter().for_each(|waiting| drop(waiting.done.send(Err(copy()))));
            }
        }
    }

    /// The next writes, of each key the first one.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        // A dropped write is not made.
        waiting.retain(|it| !it.done.is_closed());
        let mut keys: HashSet<TokenKey> = HashSet::new();
        let mut bytes = 0;
        let mut left = Vec::new();
        let mut taken = Vec::with_capacity(waiting.len().min(MOST));
        for next in waiting.drain(..) {
            let fits = taken.len() < MOST && bytes < MOST_BYTES;
            // Also of a key that is left, so that its writes stay in order.
            if keys.insert(next.write.token.key().clone()) && fits {
                bytes += next.write.token.sealed().len();
                taken.push(next);
            } else {
                left.push(next);
            }
        }
        *waiting = left;
        taken
    }

    /// Whether the write was waiting still; it is not made then.
    fn withdraw(&self, write: &Arc<Write>) -> bool {
        let mut waiting = self.waiting();
        let before = waiting.len();
        waiting.retain(|it| !Arc::ptr_eq(&it.write, write));
        waiting.len() < before
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::UNIX_EPOCH;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;
    use crate::identity::subject::Subject;
    use crate::store::{GrantId, TokenVersion};

    #[derive(Default)]
    struct Engine {
        batches: Mutex<Vec<usize>>,
        failures: AtomicUsize,
        hangs: AtomicUsize,
    }

    impl WriteTogether for Engine {
        async fn write_together(&self, writes: &[Arc<Write>]) -> Result<Vec<bool>, StoreError> {
            self.batches.lock().unwrap().push(writes.len());
            tokio::task::yield_now().await;
            if self
                .hangs
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                std::future::pending::<()>().await;
            }
            if self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                return Err(StoreError::unavailable("full"));
            }
            Ok(writes.iter().map(|write| write.is_update).collect())
        }
    }

    fn row(user: usize) -> SealedToken {
        let key = TokenKey::new(Subject::user(user), GrantId::default());
        SealedToken::new(key, TokenVersion::from_i64(1).unwrap(), vec![1], UNIX_EPOCH)
    }

    fn group() -> Group {
        Group::new(Duration::from_secs(2))
    }

    #[tokio::test]
    async fn writes_that_wait_are_made_together_and_of_a_key_one_after_another() {
        let (engine, group) = (Engine::default(), group());
        let rows: Vec<_> = [0, 1, 2, 1, 1, 3].map(row).to_vec();
        let writes = rows.iter().map(|row| group.write(&engine, row, true));
        assert!(join_all(writes).await.into_iter().all(|result| result.unwrap()));
        assert_eq!(*engine.batches.lock().unwrap(), [1, 3, 1, 1]);
    }

    #[tokio::test]
    async fn all_of_a_batch_get_its_error() {
        let (engine, group) = (Engine::default(), group());
        engine.failures.store(2, Ordering::Relaxed);
        let rows: Vec<_> = (0..4).map(row).collect();
        let writes = rows.iter().map(|row| group.write(&engine, row, false));
        for result in join_all(writes).await {
            assert_eq!(
                format!("{:?}", result.unwrap_err()),
                "the token store is not available: full"
            );
        }
    }

    #[tokio::test]
    async fn those_that_wait_for_a_dropped_write_are_made() {
        let (engine, group) = (Engine::default(), group());
        engine.hangs.store(1, Ordering::Relaxed);
        let rows: Vec<_> = (0..4).map(row).collect();
        let mut hanging = Box::pin(group.write(&engine, &rows[0], true));
        assert!(hanging.as_mut().now_or_never().is_none());
        let mut dropped = Box::pin(group.write(&engine, &rows[1], true));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        let rest = join_all(rows[2..].iter().map(|row| group.write(&engine, row, true)));
        let mut rest = std::pin::pin!(rest);
        assert!(rest.as_mut().now_or_never().is_none());
        drop(hanging);
        assert!(rest.await.into_iter().all(|result| result.unwrap()));
        assert_eq!(*engine.batches.lock().unwrap(), [1, 2], "and the dropped one is not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_so_long_and_is_then_not_made() {
        let (engine, group) = (Engine::default(), group());
        engine.hangs.store(1, Ordering::Relaxed);
        let rows = [row(0), row(1)];
        let mut hanging = Box::pin(group.write(&engine, &rows[0], true));
        assert!(hanging.as_mut().now_or_never().is_none());
        let late = group.write(&engine, &rows[1], true).await.unwrap_err();
        assert!(matches!(late, StoreError::Timeout));
        drop(hanging);
        assert!(group.waiting().iter().all(|it| it.done.is_closed()));
    }
}

//! Operations that wait for the same engine are made together: one round trip, one transaction and
//! one sync of the disk for all of them. One that comes alone does not wait for others.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use super::{SealedToken, StoreError, TokenKey};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::identity::subject::Subject;

/// The most that are made together, so that none waits long for others.
const MOST: usize = 64;
const MOST_BYTES: usize = 256 * 1024;

/// Something that can be made together with others of its kind.
pub trait Operation: Send + Sync {
    type Key: Clone + Hash + Eq;
    type Done: Send;

    /// Operations of one key are made one after another.
    fn key(&self) -> &Self::Key;

    fn bytes(&self) -> usize {
        0
    }
}

/// A [`save`](super::TokenStore::save) or an [`update`](super::TokenStore::update).
#[derive(Debug)]
pub struct Write {
    pub token: SealedToken,
    /// Whether the row is replaced only if it has the token's version.
    pub is_update: bool,
}

impl Operation for Write {
    type Key = TokenKey;
    /// Whether it found what it replaces.
    type Done = bool;

    fn key(&self) -> &TokenKey {
        self.token.key()
    }

    fn bytes(&self) -> usize {
        self.token.sealed().len()
    }
}

/// A [`load`](super::TokenStore::load).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug)]
pub struct Load(pub Subject);

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Operation for Load {
    type Key = Subject;
    type Done = Vec<SealedToken>;

    fn key(&self) -> &Subject {
        &self.0
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Load {
    /// What of these rows each of the loads has asked for.
    pub fn share(loads: &[Arc<Self>], rows: Vec<SealedToken>) -> Vec<Vec<SealedToken>> {
        let mut found: std::collections::HashMap<_, Vec<_>> = std::collections::HashMap::new();
        for row in rows {
            found.entry(row.key().subject().clone()).or_default().push(row);
        }
        loads.iter().map(|load| found.remove(&load.0).unwrap_or_default()).collect()
    }
}

/// An engine that makes several operations in one step.
pub trait Together<O: Operation>: Sync {
    /// Makes the operations, each of another key.
    fn together(
        &self,
        operations: &[Arc<O>],
    ) -> impl Future<Output = Result<Vec<O::Done>, StoreError>> + Send;

    /// Whether the others may succeed without the one that met this error. Each is made alone then.
    fn may_be_of_one(error: &StoreError) -> bool {
        let _ = error;
        false
    }
}

pub struct Group<O: Operation> {
    waiting: Mutex<Vec<Waiting<O>>>,
    /// Whoever has one makes the operations that wait.
    turns: Semaphore,
    patience: Duration,
}

struct Waiting<O: Operation> {
    operation: Arc<O>,
    done: oneshot::Sender<Result<O::Done, StoreError>>,
}

impl<O: Operation> Group<O> {
    /// So many batches are made at the same time. An operation waits for its turn as long as
    /// `patience`.
    pub fn new(turns: usize, patience: Duration) -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(turns), patience }
    }

    /// Makes the operation, together with those that wait by then.
    pub async fn run(
        &self,
        engine: &impl Together<O>,
        operation: O,
    ) -> Result<O::Done, StoreError> {
        let operation = Arc::new(operation);
        let turn = self.turns.try_acquire();
        // Outside of a runtime nothing can wait: the engine says so.
        if turn.is_ok() || Handle::try_current().is_err() {
            return Self::alone(engine, &operation).await;
        }
        let mut patience = std::pin::pin!(sleep(self.patience));
        let mut is_patient = true;
        loop {
            let (done, mut outcome) = oneshot::channel();
            self.waiting().push(Waiting { operation: Arc::clone(&operation), done });
            let received = loop {
                tokio::select! {
                    biased;
                    received = &mut outcome => break received,
                    _turn = self.turns.acquire() => self.make(engine).await,
                    // Once others are making it, its outcome comes soon.
                    () = &mut patience, if is_patient => {
                        is_patient = false;
                        if self.withdraw(&operation) {
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

    async fn make<E: Together<O>>(&self, engine: &E) {
        let batch = self.take();
        let operations: Vec<_> = batch.iter().map(|it| Arc::clone(&it.operation)).collect();
        if operations.is_empty() {
            return;
        }
        match engine.together(&operations).await {
            Ok(done) => {
                for (waiting, done) in batch.into_iter().zip(done) {
                    waiting.done.send(Ok(done)).ok();
                }
            }
            Err(error) if batch.len() > 1 && E::may_be_of_one(&error) => {
                for waiting in batch {
                    let done = Self::alone(engine, &waiting.operation).await;
                    waiting.done.send(done).ok();
                }
            }
            Err(error) => {
                let copy = error.copies();
                for waiting in batch {
                    waiting.done.send(Err(copy())).ok();
                }
            }
        }
    }

    async fn alone(engine: &impl Together<O>, operation: &Arc<O>) -> Result<O::Done, StoreError> {
        let done = engine.together(std::slice::from_ref(operation)).await?.pop();
        done.ok_or(StoreError::Corrupt("a reply without a result"))
    }

    /// The next operations, of each key the first one.
    fn take(&self) -> Vec<Waiting<O>> {
        let mut waiting = self.waiting();
        // What was dropped is not made.
        waiting.retain(|it| !it.done.is_closed());
        let mut keys: HashSet<O::Key> = HashSet::new();
        let mut bytes = 0;
        let mut left = Vec::new();
        let mut taken = Vec::with_capacity(waiting.len().min(MOST));
        for next in waiting.drain(..) {
            let fits = taken.len() < MOST && bytes < MOST_BYTES;
            // Also of a key that is left, so that its operations stay in order.
            if keys.insert(next.operation.key().clone()) && fits {
                bytes += next.operation.bytes();
                taken.push(next);
            } else {
                left.push(next);
            }
        }
        *waiting = left;
        taken
    }

    /// Whether the operation was waiting still; it is not made then.
    fn withdraw(&self, operation: &Arc<O>) -> bool {
        let mut waiting = self.waiting();
        let before = waiting.len();
        waiting.retain(|it| !Arc::ptr_eq(&it.operation, operation));
        waiting.len() < before
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<O>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

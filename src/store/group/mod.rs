//! Group commit: operations that wait for an engine share its next round trip, transaction and sync
//! of the disk. An operation that finds the engine idle starts immediately, alone.
//!
//! A group runs in its own task, so a caller that goes away, times out or panics takes no other
//! operation with it. Each caller gets the outcome of its own operation: if one operation of a
//! group is refused, the group is split until that one fails alone.

mod operation;
mod queue;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::StoreError;
use crate::identity::resolver::CatchPanic;

pub use operation::Operation;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use operation::Write;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub use operation::{Change, Load};
use queue::{Queue, Waiting};

/// If nothing has started for so long, what runs is stuck, for example at a row that somebody has
/// locked. Others then no longer wait for it.
const STALLED: Duration = Duration::from_millis(250);

/// How long the outcome of an operation that has started is awaited. Engines have shorter limits.
const PATIENCE_STARTED: Duration = Duration::from_secs(5 * 60);

/// The outcome of each operation of a group, in their order.
pub type Outcomes<T> = Vec<Result<T, StoreError>>;

/// An engine that runs several operations in one step.
pub trait Engine<O: Operation>: Send + Sync + 'static {
    /// The most bytes of a group. A single operation may have more.
    const LARGEST_BYTES: usize = 256 * 1024;

    /// Whether another group can make progress while one is stuck.
    const CAN_PASS: bool = true;

    /// Runs the operations, each of another key.
    ///
    /// # Errors
    /// An error of all of them.
    fn run(
        &self,
        operations: &[O],
    ) -> impl Future<Output = Result<Outcomes<O::Done>, StoreError>> + Send;

    /// What to do after this error of all operations, which then had no effect.
    fn after(error: &StoreError) -> Separation {
        let _ = error;
        Separation::None
    }

    /// Whether the engine can run both in one step.
    fn fit(first: &O, other: &O) -> bool {
        let _ = (first, other);
        true
    }
}

/// How to find the operation that has caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separation {
    /// The error is everybody's.
    None,
    /// Few runs find the one that is refused immediately.
    Halves,
    /// Each run of the one that waits takes long, so there must be few of those.
    #[cfg(feature = "postgres")]
    Singly,
}

/// The operations of one kind on one engine.
pub struct Group<E, O: Operation>(Arc<Shared<E, O>>);

struct Shared<E, O: Operation> {
    engine: Arc<E>,
    queue: Mutex<Queue<O>>,
    /// The longest that an operation waits for its turn.
    patience: Duration,
}

impl<E: Engine<O>, O: Operation> Group<E, O> {
    /// Up to `turns` groups run concurrently.
    pub fn new(engine: &Arc<E>, turns: usize, patience: Duration) -> Self {
        let (engine, queue) = (Arc::clone(engine), Mutex::new(Queue::new(turns)));
        Self(Arc::new(Shared { engine, queue, patience }))
    }

    /// Runs the operation, together with those that wait at the same time. Dropping the future of
    /// an operation that waits withdraws it; one that has started in a group runs to its end.
    ///
    /// # Errors
    /// The engine's error for this operation; [`StoreError::Timeout`] if it did not start in time,
    /// and [`StoreError::Unavailable`] if too many are waiting.
    pub async fn run(&self, operation: O) -> Result<O::Done, StoreError> {
        let shared = &self.0;
        let key = operation.key().cloned();
        if shared.queue().try_start(key.as_ref()) {
            let turn = Turn::new(shared, Vec::from_iter(key));
            let outcome = self.alone(operation).await;
            drop(turn);
            return outcome;
        }
        // Outside a runtime nothing can wait; the engine's error says so.
        let Ok(runtime) = Handle::try_current() else {
            return self.alone(operation).await;
        };
        let (done, outcome) = oneshot::channel();
        let mut outcome = pin!(outcome);
        let (waiting, place) = Waiting::new(operation, done, runtime);
        shared.queue().push(waiting)?;
        shared.start();
        let deadline = Instant::now() + shared.patience;
        while Instant::now() < deadline {
            let wake = deadline.min(Instant::now() + STALLED);
            tokio::select! {
                biased;
                received = &mut outcome => return received.unwrap_or_else(|_| Err(ended())),
                () = sleep_until(wake) => if E::CAN_PASS { shared.relieve() },
            }
        }
        if place.withdraw() {
            return Err(StoreError::Timeout);
        }
        // It has started, so its outcome comes soon, unless its runtime no longer runs.
        let outcome = timeout(PATIENCE_STARTED, outcome).await;
        outcome.map_or(Err(StoreError::Timeout), |it| it.unwrap_or_else(|_| Err(ended())))
    }

    /// Runs the operation immediately, in no order with others.
    ///
    /// # Errors
    /// The engine's error.
    pub async fn alone(&self, operation: O) -> Result<O::Done, StoreError> {
        let outcome = self.0.engine.run(std::slice::from_ref(&operation)).await?.pop();
        outcome.unwrap_or_else(|| Err(StoreError::Corrupt("a reply without a result")))
    }
}

impl<E: Engine<O>, O: Operation> Shared<E, O> {
    fn queue(&self) -> MutexGuard<'_, Queue<O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a turn if the ones that run are stuck.
    fn relieve(self: &Arc<Self>) {
        if self.queue().relieve(STALLED) {
            self.start();
        }
    }

    /// Starts groups while there are operations and turns. Only one call at a time does, because a
    /// runtime that is shutting down drops the new task immediately, and the end of its turn calls
    /// this function again.
    fn start(self: &Arc<Self>) {
        if !self.queue().begin_start() {
            return;
        }
        loop {
            let Some((runtime, group)) = self.queue().next_group(E::LARGEST_BYTES, E::fit) else {
                return;
            };
            let keys = group.iter().filter_map(|it| it.operation().key().cloned()).collect();
            let turn = Turn::new(self, keys);
            runtime.spawn(async move {
                make(&*turn.shared.engine, group).await;
                drop(turn);
            });
        }
    }
}

/// The right to use the engine. Its end, also by a drop, starts what waits.
struct Turn<E: Engine<O>, O: Operation> {
    shared: Arc<Shared<E, O>>,
    keys: Vec<O::Key>,
    began: Instant,
}

impl<E: Engine<O>, O: Operation> Turn<E, O> {
    fn new(shared: &Arc<Shared<E, O>>, keys: Vec<O::Key>) -> Self {
        Self { shared: Arc::clone(shared), keys, began: Instant::now() }
    }
}

impl<E: Engine<O>, O: Operation> Drop for Turn<E, O> {
    fn drop(&mut self) {
        self.shared.queue().end(&self.keys, self.began);
        self.shared.start();
    }
}

async fn make<E: Engine<O>, O: Operation>(engine: &E, group: Vec<Waiting<O>>) {
    let (operations, callers): (Vec<_>, Vec<_>) = group.into_iter().map(Waiting::split).unzip();
    let mut parts = vec![(operations.as_slice(), callers)];
    while let Some((operations, mut callers)) = parts.pop() {
        let made = CatchPanic(Box::pin(async { engine.run(operations).await })).await;
        let error = match made.unwrap_or(Err(StoreError::Panicked)) {
            Ok(outcomes) => {
                for (caller, outcome) in callers.into_iter().zip(outcomes) {
                    caller.send(outcome).ok();
                }
                continue;
            }
            Err(error) => error,
        };
        if let Some(size) = size_of_parts::<E, O>(&error, operations.len()) {
            let chunks = operations.chunks(size).rev();
            parts.extend(chunks.map(|it| (it, callers.split_off(callers.len() - it.len()))));
        } else {
            let copy = error.copies();
            for caller in callers {
                caller.send(Err(copy())).ok();
            }
        }
    }
}

/// How many of these operations to try together next, if the error may be that of one.
fn size_of_parts<E: Engine<O>, O: Operation>(error: &StoreError, count: usize) -> Option<usize> {
    let separation = match error {
        StoreError::Panicked => Separation::Halves,
        error => E::after(error),
    };
    match separation {
        _ if count < 2 => None,
        Separation::None => None,
        Separation::Halves => Some(count.div_ceil(2)),
        #[cfg(feature = "postgres")]
        Separation::Singly => Some(1),
    }
}

/// The error of an operation whose group was dropped with the runtime that ran it.
fn ended() -> StoreError {
    StoreError::unavailable("the runtime of the operation has shut down")
}

#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests;

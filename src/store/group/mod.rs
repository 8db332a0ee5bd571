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
use tokio::time::{Instant, sleep_until};

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

/// The outcome of each operation of a group, in their order.
pub type Outcomes<T> = Vec<Result<T, StoreError>>;

/// An engine that runs several operations in one step.
pub trait Engine<O: Operation>: Send + Sync + 'static {
    /// The most bytes of a group. A single operation may have more.
    const LARGEST_BYTES: usize = 256 * 1024;

    /// Runs the operations, each of another key.
    ///
    /// # Errors
    /// An error of all of them.
    fn run(
        &self,
        operations: &[O],
    ) -> impl Future<Output = Result<Outcomes<O::Done>, StoreError>> + Send;

    /// Whether one operation may have caused this error of all of them, which have no effect then.
    fn may_be_of_one(error: &StoreError) -> bool {
        let _ = error;
        false
    }

    /// Whether the engine can run both in one step.
    fn fit(first: &O, other: &O) -> bool {
        let _ = (first, other);
        true
    }
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
            let turn = Turn { shared: Arc::clone(shared), keys: Vec::from_iter(key) };
            let outcome = alone(&*shared.engine, operation).await;
            drop(turn);
            return outcome;
        }
        // Outside a runtime nothing can wait; the engine's error says so.
        let Ok(runtime) = Handle::try_current() else {
            return alone(&*shared.engine, operation).await;
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
                () = sleep_until(wake) => shared.relieve(),
            }
        }
        if place.withdraw() {
            return Err(StoreError::Timeout);
        }
        // It has started, so its outcome comes soon.
        outcome.await.unwrap_or_else(|_| Err(ended()))
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

    /// Starts groups while there are operations and turns.
    fn start(self: &Arc<Self>) {
        loop {
            let Some((runtime, group)) = self.queue().next_group(E::LARGEST_BYTES, E::fit) else {
                return;
            };
            let keys = group.iter().filter_map(|it| it.operation().key().cloned()).collect();
            let turn = Turn { shared: Arc::clone(self), keys };
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
}

impl<E: Engine<O>, O: Operation> Drop for Turn<E, O> {
    fn drop(&mut self) {
        self.shared.queue().end(&self.keys);
        self.shared.start();
    }
}

async fn make<E: Engine<O>, O: Operation>(engine: &E, group: Vec<Waiting<O>>) {
    let (operations, callers): (Vec<_>, Vec<_>) = group.into_iter().map(Waiting::split).unzip();
    let mut parts = vec![(operations.as_slice(), callers)];
    while let Some((operations, mut callers)) = parts.pop() {
        let made = CatchPanic(Box::pin(async { engine.run(operations).await })).await;
        match made.unwrap_or(Err(StoreError::Panicked)) {
            Ok(outcomes) => {
                for (caller, outcome) in callers.into_iter().zip(outcomes) {
                    caller.send(outcome).ok();
                }
            }
            Err(error) if operations.len() > 1 && is_separable::<E, O>(&error) => {
                let (first, second) = operations.split_at(operations.len() / 2);
                parts.push((second, callers.split_off(first.len())));
                parts.push((first, callers));
            }
            Err(error) => {
                let copy = error.copies();
                for caller in callers {
                    caller.send(Err(copy())).ok();
                }
            }
        }
    }
}

fn is_separable<E: Engine<O>, O: Operation>(error: &StoreError) -> bool {
    matches!(error, StoreError::Panicked) || E::may_be_of_one(error)
}

async fn alone<E: Engine<O>, O: Operation>(
    engine: &E,
    operation: O,
) -> Result<O::Done, StoreError> {
    let outcome = engine.run(std::slice::from_ref(&operation)).await?.pop();
    outcome.unwrap_or_else(|| Err(StoreError::Corrupt("a reply without a result")))
}

/// The error of an operation whose group was dropped with the runtime that ran it.
fn ended() -> StoreError {
    StoreError::unavailable("the runtime of the operation has shut down")
}

#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests;

//! One exchange per flow, however often its callback arrives at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::Instrument;

use super::failure::Failure;

type Outcome = Result<(), Failure>;
type Running = HashMap<String, watch::Receiver<Option<Outcome>>>;

/// The flows whose code is being exchanged by this process right now. An entry lives as long as
/// its task; nothing is kept of flows that are merely begun.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<Running>>);

impl InFlight {
    /// The outcome of the flow's work: of the work that runs already, or else of `work`, which
    /// then runs in a task of its own. Dropping this future leaves the task running.
    pub(crate) async fn join<F>(&self, flow: &str, work: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut outcome, sender) = {
            let mut running = self.lock();
            if let Some(outcome) = running.get(flow) {
                (outcome.clone(), None)
            } else {
                let (sender, outcome) = watch::channel(None);
                running.insert(flow.to_owned(), outcome.clone());
                (outcome, Some(sender))
            }
        };
        // The lock is free by now: a runtime that is closing drops the task on the spot, and with
        // it the entry, which takes the lock.
        if let Some(sender) = sender {
            let entry = Entry { in_flight: self.clone(), flow: flow.to_owned() };
            let work = work();
            let task = async move {
                let _entry = entry;
                let outcome = work.await;
                sender.send_replace(Some(outcome));
            };
            tokio::spawn(task.in_current_span());
        }
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Failure::Internal)),
            // The task has panicked.
            Err(_) => Err(Failure::Internal),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flow out again when its task ends, also by a panic.
struct Entry {
    in_flight: InFlight,
    flow: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.flow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn s9_parallel_callbacks_share_one_piece_of_work_and_leave_nothing() {
        let in_flight = InFlight::default();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let join = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            in_flight.join("a", move || async move {
                runs.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                Ok(())
            })
        };
        let open_the_gate = async {
            tokio::task::yield_now().await;
            gate.notify_one();
        };
        let (first, second, ()) = tokio::join!(join(), join(), open_the_gate);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        tokio::task::yield_now().await;
        assert!(in_flight.lock().is_empty());
    }

    #[tokio::test]
    async fn n14_work_that_panics_is_an_internal_failure_and_leaves_nothing() {
        let in_flight = InFlight::default();
        let outcome = in_flight.join("a", || async { panic!("in the test") }).await;
        assert!(matches!(outcome, Err(Failure::Internal)));
        assert!(in_flight.lock().is_empty());
    }
}

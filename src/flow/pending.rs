//! One exchange per flow, however often its callback arrives at the same time, and none for a flow
//! that has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::problem::failure::Failure;
use crate::util::background::Tasks;

type Outcome = Result<(), Failure>;
type Waiting = watch::Receiver<Option<Outcome>>;

/// The flows whose code is being exchanged by this process right now, and those that a logout has
/// ended. An entry of the first kind lives as long as its task; nothing is kept of flows that are
/// merely begun.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<Flows>>);

#[derive(Default)]
struct Flows {
    running: HashMap<String, Waiting>,
    ended: Ended,
}

/// How many ended flows are remembered: of more the oldest are forgotten.
const MAX_ENDED: usize = 10_000;

/// Flows that were open in a browser that logged out, oldest first. Its answer drops their cookies;
/// this is for callbacks that are on their way already, and for answers that are lost.
#[derive(Default)]
struct Ended {
    flows: HashSet<String>,
    order: VecDeque<(String, u64)>,
}

impl Ended {
    /// Remembers the flow until it is over anyway, and forgets those that are.
    fn insert(&mut self, flow: &str, over_unix_secs: u64, now: u64) {
        while self.order.len() >= MAX_ENDED
            || self.order.front().is_some_and(|(_, over)| *over <= now)
        {
            let Some((flow, _)) = self.order.pop_front() else { break };
            self.flows.remove(&flow);
        }
        if self.flows.insert(flow.to_owned()) {
            self.order.push_back((flow.to_owned(), over_unix_secs));
        }
    }
}

impl InFlight {
    /// The outcome of the flow's work: of the work that runs already, or else of `work`, which
    /// then runs in a task of its own. Dropping this future leaves the task running.
    pub(crate) async fn join<F>(
        &self,
        tasks: &Tasks,
        flow: &str,
        work: impl FnOnce() -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut outcome, sender) = {
            let mut flows = self.lock();
            if flows.ended.flows.contains(flow) {
                return Err(Failure::Ended);
            }
            if let Some(outcome) = flows.running.get(flow) {
                (outcome.clone(), None)
            } else if tasks.is_closing() {
                return Err(Failure::ShuttingDown);
            } else {
                let (sender, outcome) = watch::channel(None);
                flows.running.insert(flow.to_owned(), outcome.clone());
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
            tasks.spawn(task);
        }
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(Failure::Internal)),
            // The task has panicked.
            Err(_) => Err(Failure::Internal),
        };
        if self.lock().ended.flows.contains(flow) { Err(Failure::Ended) } else { outcome }
    }

    /// Ends flows, each until the time when it is over anyway: from now on nobody is logged in by
    /// them, and when this returns, what was under way has come to its end.
    pub(crate) async fn end(&self, ended: &[(String, u64)], now: u64) {
        let under_way: Vec<_> = {
            let mut flows = self.lock();
            for (flow, over_unix_secs) in ended {
                flows.ended.insert(flow, *over_unix_secs, now);
            }
            ended.iter().filter_map(|(flow, _)| flows.running.get(flow).cloned()).collect()
        };
        for mut outcome in under_way {
            // An error is the end of a task that has panicked.
            outcome.wait_for(Option::is_some).await.ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Flows> {
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
        self.in_flight.lock().running.remove(&self.flow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn s9_parallel_callbacks_share_one_piece_of_work_and_leave_nothing() {
        let (tasks, in_flight) = (Tasks::default(), InFlight::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let join = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            in_flight.join(&tasks, "a", move || async move {
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
        assert!(in_flight.lock().running.is_empty());
    }

    #[tokio::test]
    async fn n14_work_that_panics_is_an_internal_failure_and_leaves_nothing() {
        let (tasks, in_flight) = (Tasks::default(), InFlight::default());
        let outcome = in_flight.join(&tasks, "a", || async { panic!("in the test") }).await;
        assert!(matches!(outcome, Err(Failure::Internal)));
        assert!(in_flight.lock().running.is_empty());
    }

    #[tokio::test]
    async fn an_ended_flow_does_no_work_and_whoever_waits_for_it_is_refused() {
        let (tasks, in_flight) = (Tasks::default(), InFlight::default());
        let gate = Arc::new(tokio::sync::Notify::new());
        let work = {
            let gate = Arc::clone(&gate);
            || async move {
                gate.notified().await;
                Ok(())
            }
        };
        let ends = async {
            tokio::task::yield_now().await;
            let flows = [("a".to_owned(), 100), ("b".to_owned(), 100)];
            let ends = in_flight.end(&flows, 0);
            tokio::join!(ends, async { gate.notify_one() });
        };
        let (outcome, ()) = tokio::join!(in_flight.join(&tasks, "a", work), ends);
        assert_eq!(outcome, Err(Failure::Ended));
        let refused = in_flight.join(&tasks, "b", || async { panic!("it does not run") }).await;
        assert_eq!(refused, Err(Failure::Ended));
        assert_eq!(in_flight.join(&tasks, "c", || async { Ok(()) }).await, Ok(()));
    }

    #[tokio::test]
    async fn n13_ended_flows_are_forgotten_when_they_are_over_and_when_they_are_too_many() {
        let in_flight = InFlight::default();
        let flows: Vec<_> = (0..MAX_ENDED + 5).map(|i| (i.to_string(), 100)).collect();
        in_flight.end(&flows, 0).await;
        assert_eq!(in_flight.lock().ended.flows.len(), MAX_ENDED);
        assert!(!in_flight.lock().ended.flows.contains("0"), "the oldest went");
        in_flight.end(&[("new".to_owned(), 200)], 100).await;
        assert_eq!(in_flight.lock().ended.flows.len(), 1);
        assert_eq!(in_flight.lock().ended.order.len(), 1);
    }
}

//! The flows whose callback is being worked on, and those that must not log anybody in any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use crate::problem::{Problem, catalog};
use crate::util::background::Tasks;

/// The outcome of a flow's work.
type Outcome = Result<(), Problem>;

/// How many flows are remembered at most; beyond it the one that expires first is forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// How many codes of one flow Webflow may refuse before the flow has ended.
const MAX_REFUSED_CODES: u8 = 3;

/// One exchange per flow, however often its callback arrives at the same time, and none for a flow
/// that has ended. Nothing is kept of flows that have merely begun.
#[derive(Clone)]
pub(crate) struct PendingFlows {
    flows: Arc<Mutex<HashMap<String, Pending>>>,
    /// One permit for each piece of work that may run at the same time.
    permits: Arc<Semaphore>,
    tasks: Tasks,
}

/// What is remembered of one flow.
#[derive(Default)]
struct Pending {
    /// The work that runs now.
    running: Option<watch::Receiver<Option<Outcome>>>,
    /// Whether a logout has ended it.
    ended: bool,
    refused_codes: u8,
    /// When the flow expires anyway, in Unix seconds.
    expires_unix_secs: u64,
}

impl PendingFlows {
    pub(crate) fn new(tasks: Tasks, max_running: usize) -> Self {
        Self { flows: Arc::default(), permits: Arc::new(Semaphore::new(max_running)), tasks }
    }

    /// Joins the work that runs for this flow already, or starts `work` in its own task. Dropping
    /// this future leaves the task running.
    pub(crate) async fn join<F>(
        &self,
        flow: &str,
        expires_unix_secs: u64,
        work: impl FnOnce(bool) -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut outcome, started) = {
            let mut flows = self.lock();
            let known = flows.get(flow);
            if known.is_some_and(Pending::has_ended) {
                return Err(catalog::unknown_flow());
            }
            let refused = known.map_or(0, |known| known.refused_codes);
            if let Some(outcome) = known.and_then(|known| known.running.clone()) {
                (outcome, None)
            } else if self.tasks.is_closing() {
                return Err(catalog::shutting_down());
            } else {
                let permit = Arc::clone(&self.permits).try_acquire_owned();
                let permit = permit.map_err(|_| catalog::too_many_callbacks())?;
                make_room(&mut flows);
                let (sender, outcome) = watch::channel(None);
                let pending = flows.entry(flow.to_owned()).or_default();
                pending.running = Some(outcome.clone());
                pending.expires_unix_secs = expires_unix_secs;
                (outcome, Some((sender, permit, refused == 0)))
            }
        };
        // The lock is released by now: a runtime that is shutting down drops the task on the spot,
        // and with it `Running`, which takes the lock.
        if let Some((sender, permit, first)) = started {
            let running = Running { pending: self.clone(), flow: flow.to_owned() };
            let work = work(first);
            self.tasks.spawn(async move {
                let (_permit, running) = (permit, running);
                let outcome = work.await;
                running.note(&outcome);
                sender.send_replace(Some(outcome));
            });
        }
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(catalog::internal())),
            // The task has panicked.
            Err(_) => Err(catalog::internal()),
        };
        let ended = self.lock().get(flow).is_some_and(|pending| pending.ended);
        if ended { Err(catalog::unknown_flow()) } else { outcome }
    }

    /// Marks flows as ended until they expire, and waits for their running work. None of them can
    /// log anyone in afterwards.
    pub(crate) async fn end(&self, ended: &[(String, u64)]) {
        let running: Vec<_> = {
            let mut flows = self.lock();
            let mut running = Vec::new();
            for (flow, expires_unix_secs) in ended {
                make_room(&mut flows);
                let pending = flows.entry(flow.clone()).or_default();
                pending.ended = true;
                pending.expires_unix_secs = *expires_unix_secs;
                running.extend(pending.running.clone());
            }
            running
        };
        for mut outcome in running {
            // An error is the end of a task that has panicked.
            outcome.wait_for(Option::is_some).await.ok();
        }
    }

    /// Takes [`end`](Self::end) back, when the logout that ended them has failed.
    pub(crate) fn reopen(&self, ended: &[(String, u64)]) {
        let mut flows = self.lock();
        for (flow, _) in ended {
            if let Some(pending) = flows.get_mut(flow) {
                pending.ended = false;
                if pending.is_idle() {
                    flows.remove(flow);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Whether nothing but its expiry is known of it.
    const fn is_idle(&self) -> bool {
        self.running.is_none() && !self.ended && self.refused_codes == 0
    }

    const fn has_ended(&self) -> bool {
        self.ended || self.refused_codes >= MAX_REFUSED_CODES
    }
}

/// Forgets the flow that expires first, when there are too many. Running work is never forgotten:
/// the permits bound it.
fn make_room(flows: &mut HashMap<String, Pending>) {
    if flows.len() < MAX_REMEMBERED {
        return;
    }
    let done = flows.iter().filter(|(_, pending)| pending.running.is_none());
    let first = done.min_by_key(|(_, pending)| pending.expires_unix_secs);
    if let Some(flow) = first.map(|(flow, _)| flow.clone()) {
        flows.remove(&flow);
    }
}

/// Notes that the work has ended, also by a panic.
struct Running {
    pending: PendingFlows,
    flow: String,
}

impl Running {
    fn note(&self, outcome: &Outcome) {
        let refused = outcome.as_ref().is_err_and(Problem::is_refused_code);
        if let Some(pending) = self.pending.lock().get_mut(&self.flow).filter(|_| refused) {
            pending.refused_codes = pending.refused_codes.saturating_add(1);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut flows = self.pending.lock();
        if let Some(pending) = flows.get_mut(&self.flow) {
            pending.running = None;
            if pending.is_idle() {
                flows.remove(&self.flow);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::FailureKind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn flows() -> PendingFlows {
        PendingFlows::new(Tasks::default(), 256)
    }

    fn kind(outcome: Outcome) -> Option<FailureKind> {
        outcome.err().map(|problem| problem.kind)
    }

    #[tokio::test]
    async fn s9_parallel_callbacks_share_one_piece_of_work_and_leave_nothing() {
        let flows = flows();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let join = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            flows.join("a", 100, move |_| async move {
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
        assert!(flows.lock().is_empty());
    }

    #[tokio::test]
    async fn n14_a_panic_is_an_internal_problem_and_leaves_nothing() {
        let flows = flows();
        let outcome = flows.join("a", 100, |_| async { panic!("in the test") }).await;
        assert_eq!(kind(outcome), Some(FailureKind::Internal));
        assert!(flows.lock().is_empty());
    }

    #[tokio::test]
    async fn an_ended_flow_does_no_work_until_the_logout_fails() {
        let flows = flows();
        let gate = Arc::new(tokio::sync::Notify::new());
        let work = {
            let gate = Arc::clone(&gate);
            |_| async move {
                gate.notified().await;
                Ok(())
            }
        };
        let ended = [("a".to_owned(), 100), ("b".to_owned(), 100)];
        let ends = async {
            tokio::task::yield_now().await;
            tokio::join!(flows.end(&ended), async { gate.notify_one() });
        };
        let (outcome, ()) = tokio::join!(flows.join("a", 100, work), ends);
        assert_eq!(kind(outcome), Some(FailureKind::UnknownFlow));
        let refused = flows.join("b", 100, |_| async { panic!("it does not run") }).await;
        assert_eq!(kind(refused), Some(FailureKind::UnknownFlow));
        assert_eq!(kind(flows.join("c", 100, |_| async { Ok(()) }).await), None);
        flows.reopen(&ended);
        assert_eq!(kind(flows.join("b", 100, |_| async { Ok(()) }).await), None);
        tokio::task::yield_now().await;
        assert!(flows.lock().is_empty());
    }

    #[tokio::test]
    async fn c1_work_is_bounded_and_refused_before_it_starts() {
        let flows = PendingFlows::new(Tasks::default(), 2);
        let hang = |flow: &'static str| flows.join(flow, 100, |_| std::future::pending());
        for flow in ["a", "b"] {
            assert!(futures_util::FutureExt::now_or_never(hang(flow)).is_none(), "hung up");
        }
        let refused = flows.join("c", 100, |_| async { panic!("it does not run") }).await;
        let problem = refused.unwrap_err();
        assert_eq!(problem.status, http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.retry_after.is_some());
        assert_eq!(flows.lock().len(), 2);
    }

    #[tokio::test]
    async fn c2_three_refused_codes_end_a_flow() {
        let flows = flows();
        let runs = AtomicUsize::new(0);
        for attempt in 0..12 {
            let outcome = flows.join("a", 100, |first| {
                runs.fetch_add(1, Ordering::SeqCst);
                assert_eq!(first, attempt == 0);
                async { Err(catalog::invalid_grant()) }
            });
            let expected =
                if attempt < 3 { FailureKind::InvalidGrant } else { FailureKind::UnknownFlow };
            assert_eq!(kind(outcome.await), Some(expected));
            tokio::task::yield_now().await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn n13_what_is_remembered_is_bounded() {
        let flows = flows();
        let ended: Vec<_> = (0..MAX_REMEMBERED + 5).map(|i| (i.to_string(), i as u64)).collect();
        flows.end(&ended).await;
        assert_eq!(flows.lock().len(), MAX_REMEMBERED);
        assert!(!flows.lock().contains_key("0"), "the one that expires first went");
    }
}

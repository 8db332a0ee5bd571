//! The flows whose callback is in progress, and those that must not log anybody in anymore.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::problem::{FailureKind, Problem, catalog};
use crate::util::background::Tasks;

/// Where a completed flow leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The ID of the browser's session. `None` if subjects are the application's users.
    pub session: Option<String>,
    /// Where `on_authorized` redirects the browser. `None` for the flow's `return_to`.
    pub location: Option<String>,
}

/// The outcome of a callback's work.
type Outcome = Result<Landing, Problem>;

/// A flow whose callback has arrived.
pub struct Arrived<'a> {
    pub flow: &'a str,
    /// The other flows that are open in the same browser. Their work must not run at the same time,
    /// since both would move the grants of one session.
    pub others: Vec<String>,
    pub expires_unix_secs: u64,
}

/// What happened before a callback's work.
pub struct Before {
    /// Whether Webflow has refused no code of this flow so far.
    pub is_first_attempt: bool,
    /// The session that another flow of this browser has just created.
    pub session: Option<String>,
    /// Where `on_authorized` redirected an earlier callback of this flow.
    pub location: Option<String>,
}

/// How many flows are remembered. Beyond that, those that expire first are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// How many codes of one flow Webflow may refuse before the flow ends.
const MAX_REFUSED_CODES: u8 = 3;

/// Ensures that a flow has one exchange at a time, however often its callback arrives, and none
/// after it has ended. Flows without a callback take no memory.
#[derive(Clone)]
pub struct PendingFlows {
    flows: Arc<Mutex<HashMap<String, Pending>>>,
    /// One permit for each callback that may be in progress.
    permits: Arc<Semaphore>,
    tasks: Tasks,
}

/// How a callback proceeds.
enum Entry {
    Joined(watch::Receiver<Option<Outcome>>),
    Started {
        outcome: watch::Receiver<Option<Outcome>>,
        sender: watch::Sender<Option<Outcome>>,
        permit: OwnedSemaphorePermit,
        before: Before,
    },
    /// The work of another flow of the same browser has to finish first.
    Wait(watch::Receiver<Option<Outcome>>),
}

/// What is remembered about one flow.
#[derive(Default)]
struct Pending {
    /// The work in progress.
    running: Option<watch::Receiver<Option<Outcome>>>,
    /// Whether a logout has ended it.
    ended: bool,
    refused_codes: u8,
    /// The session that another flow of the same browser has created.
    session: Option<String>,
    /// Where `on_authorized` redirected the browser.
    location: Option<String>,
    /// When the flow expires anyway, in Unix seconds.
    expires_unix_secs: u64,
}

impl PendingFlows {
    pub fn new(tasks: Tasks, max_running: usize) -> Self {
        Self { flows: Arc::default(), permits: Arc::new(Semaphore::new(max_running)), tasks }
    }

    /// Joins the work in progress for this flow. If there is none, waits for the browser's other
    /// flows and then starts `work` in its own task. Dropping this future does not stop the task.
    pub async fn join<F>(&self, arrived: &Arrived<'_>, work: impl FnOnce(Before) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut outcome = loop {
            let mut other = match self.enter(arrived)? {
                Entry::Joined(outcome) => break outcome,
                Entry::Started { outcome, sender, permit, before } => {
                    // The lock must be released here: a runtime that is shutting down drops the
                    // task immediately, and dropping `Running` takes the lock.
                    self.start(arrived, sender, permit, work(before));
                    break outcome;
                }
                Entry::Wait(other) => other,
            };
            other.wait_for(Option::is_some).await.ok();
        };
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(catalog::internal())),
            // The task panicked.
            Err(_) => Err(catalog::internal()),
        };
        let ended = self.lock().get(arrived.flow).is_some_and(|pending| pending.ended);
        if ended { Err(catalog::unknown_flow()) } else { outcome }
    }

    fn enter(&self, arrived: &Arrived<'_>) -> Result<Entry, Problem> {
        let mut flows = self.lock();
        let known = flows.get(arrived.flow);
        if known.is_some_and(Pending::has_ended) {
            return Err(catalog::unknown_flow());
        }
        if let Some(outcome) = known.and_then(|known| known.running.clone()) {
            return Ok(Entry::Joined(outcome));
        }
        let mut others = arrived.others.iter().filter_map(|other| flows.get(other));
        if let Some(running) = others.find_map(|other| other.running.clone()) {
            return Ok(Entry::Wait(running));
        }
        if self.tasks.is_closing() {
            return Err(catalog::shutting_down());
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| catalog::too_many_callbacks())?;
        make_room(&mut flows);
        let (sender, outcome) = watch::channel(None);
        let pending = flows.entry(arrived.flow.to_owned()).or_default();
        pending.running = Some(outcome.clone());
        pending.expires_unix_secs = arrived.expires_unix_secs;
        let before = Before {
            is_first_attempt: pending.refused_codes == 0,
            session: pending.session.clone(),
            location: pending.location.clone(),
        };
        Ok(Entry::Started { outcome, sender, permit, before })
    }

    fn start(
        &self,
        arrived: &Arrived<'_>,
        sender: watch::Sender<Option<Outcome>>,
        permit: OwnedSemaphorePermit,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let running = Running {
            pending: self.clone(),
            flow: arrived.flow.to_owned(),
            others: arrived.others.clone(),
            expires_unix_secs: arrived.expires_unix_secs,
        };
        self.tasks.spawn(async move {
            let (_permit, running) = (permit, running);
            let outcome = work.await;
            running.note(&outcome);
            sender.send_replace(Some(outcome));
        });
    }

    /// Marks flows as ended until they expire, and waits for their running work. None of them can
    /// log anyone in afterwards.
    pub async fn end(&self, ended: &[(String, u64)]) {
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
            // An error means that the task panicked, and so has ended, too.
            outcome.wait_for(Option::is_some).await.ok();
        }
    }

    /// Undoes [`end`](Self::end) after a failed logout.
    pub fn reopen(&self, ended: &[(String, u64)]) {
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

    /// Where `on_authorized` redirected the browser at the end of the flow.
    pub fn location(&self, flow: &str) -> Option<String> {
        self.lock().get(flow)?.location.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Whether the entry can be removed.
    const fn is_idle(&self) -> bool {
        self.running.is_none() && !self.ended && self.refused_codes == 0 && self.location.is_none()
    }

    const fn has_ended(&self) -> bool {
        self.ended || self.refused_codes >= MAX_REFUSED_CODES
    }
}

/// If there are too many flows, forgets the eighth that expires first, so that a full map is not
/// searched at every insertion. Work in progress is never forgotten; the permits bound it.
fn make_room(flows: &mut HashMap<String, Pending>) {
    if flows.len() < MAX_REMEMBERED {
        return;
    }
    let done = flows.values().filter(|pending| pending.running.is_none());
    let mut expiries: Vec<_> = done.map(|pending| pending.expires_unix_secs).collect();
    let nth = (MAX_REMEMBERED / 8).min(expiries.len().saturating_sub(1));
    if expiries.is_empty() {
        return;
    }
    let (_, &mut last, _) = expiries.select_nth_unstable(nth);
    let mut surplus = nth + 1;
    flows.retain(|_, pending| {
        let goes = surplus > 0 && pending.running.is_none() && pending.expires_unix_secs <= last;
        surplus -= usize::from(goes);
        !goes
    });
}

/// Records on drop that the work has ended, even by a panic.
struct Running {
    pending: PendingFlows,
    flow: String,
    others: Vec<String>,
    expires_unix_secs: u64,
}

impl Running {
    fn note(&self, outcome: &Outcome) {
        let mut flows = self.pending.lock();
        match outcome {
            Ok(Landing { session, location }) => {
                for other in self.others.iter().filter(|_| session.is_some()) {
                    make_room(&mut flows);
                    let pending = flows.entry(other.clone()).or_default();
                    pending.session.clone_from(session);
                    pending.expires_unix_secs = self.expires_unix_secs;
                }
                if let Some(pending) = flows.get_mut(&self.flow) {
                    pending.location.clone_from(location);
                }
            }
            Err(problem) if problem.is_refused_code() => {
                if let Some(pending) = flows.get_mut(&self.flow) {
                    pending.refused_codes = pending.refused_codes.saturating_add(1);
                }
            }
            // The application refused this flow's grant, so no further code may be used.
            Err(problem) if problem.kind == FailureKind::HookRefused => {
                if let Some(pending) = flows.get_mut(&self.flow) {
                    pending.refused_codes = MAX_REFUSED_CODES;
                }
            }
            _ => {}
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn flows() -> PendingFlows {
        PendingFlows::new(Tasks::default(), 256)
    }

    fn arrived(flow: &str) -> Arrived<'_> {
        Arrived { flow, others: Vec::new(), expires_unix_secs: 100 }
    }

    fn landed() -> Landing {
        Landing { session: Some("session".to_owned()), location: None }
    }

    fn kind(outcome: Outcome) -> Option<FailureKind> {
        outcome.err().map(|problem| problem.kind)
    }

    #[tokio::test]
    async fn s9_parallel_callbacks_share_one_exchange_and_leave_nothing() {
        let flows = flows();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let join = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            let flows = flows.clone();
            async move {
                let work = |_| async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok(landed())
                };
                flows.join(&arrived("a"), work).await
            }
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
        let outcome = flows.join(&arrived("a"), |_| async { panic!("in the test") }).await;
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
                Ok(landed())
            }
        };
        let ended = [("a".to_owned(), 100), ("b".to_owned(), 100)];
        let ends = async {
            tokio::task::yield_now().await;
            tokio::join!(flows.end(&ended), async { gate.notify_one() });
        };
        let first = arrived("a");
        let (outcome, ()) = tokio::join!(flows.join(&first, work), ends);
        assert_eq!(kind(outcome), Some(FailureKind::UnknownFlow));
        let refused = flows.join(&arrived("b"), |_| async { panic!("it does not run") }).await;
        assert_eq!(kind(refused), Some(FailureKind::UnknownFlow));
        assert_eq!(kind(flows.join(&arrived("c"), |_| async { Ok(landed()) }).await), None);
        flows.reopen(&ended);
        assert_eq!(kind(flows.join(&arrived("b"), |_| async { Ok(landed()) }).await), None);
        tokio::task::yield_now().await;
        assert!(flows.lock().is_empty());
    }

    #[tokio::test]
    async fn c1_work_is_bounded_and_refused_before_it_starts() {
        let flows = PendingFlows::new(Tasks::default(), 2);
        for flow in ["a", "b"] {
            let arrived = arrived(flow);
            let hangs = flows.join(&arrived, |_| std::future::pending());
            assert!(futures_util::FutureExt::now_or_never(hangs).is_none(), "hung up");
        }
        let refused = flows.join(&arrived("c"), |_| async { panic!("it does not run") }).await;
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
            let arrived = arrived("a");
            let outcome = flows.join(&arrived, |before| {
                runs.fetch_add(1, Ordering::SeqCst);
                assert_eq!(before.is_first_attempt, attempt == 0);
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
    async fn c8_flows_of_one_browser_run_one_after_another_and_share_the_session() {
        let flows = flows();
        let gate = Arc::new(tokio::sync::Notify::new());
        let opened = Arc::clone(&gate);
        let tab = |flow, other: &str| Arrived { others: vec![other.to_owned()], ..arrived(flow) };
        let (first, second) = (tab("a", "b"), tab("b", "a"));
        let one = flows.join(&first, |before| async move {
            assert_eq!(before.session, None);
            opened.notified().await;
            Ok(landed())
        });
        let two = flows.join(&second, |before| async move {
            Ok(Landing { session: before.session, location: None })
        });
        let open = async {
            tokio::task::yield_now().await;
            gate.notify_one();
        };
        let (one, two, ()) = tokio::join!(one, two, open);
        assert_eq!(one.unwrap(), two.unwrap(), "both end in one session");
    }

    #[tokio::test]
    async fn n13_remembered_flows_are_bounded() {
        let flows = flows();
        let ended: Vec<_> = (0..MAX_REMEMBERED + 5).map(|i| (i.to_string(), i as u64)).collect();
        flows.end(&ended).await;
        let remembered = flows.lock().len();
        assert!((MAX_REMEMBERED * 3 / 4..=MAX_REMEMBERED).contains(&remembered), "{remembered}");
        assert!(!flows.lock().contains_key("0"), "the one that expires first went");
    }
}

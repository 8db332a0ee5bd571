//! Background work that outlives the request that started it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::log;

/// How many operations may wait for a retry. More mean that something has been down for long, and
/// bounding memory matters more.
const MAX_RETRIES_WAITING: usize = 1024;

/// Pauses between attempts: an hour and a half in total.
const PAUSES_SECS: [u64; 6] = [2, 10, 60, 300, 1200, 3600];

/// The detached tasks of one layer, so that shutdown can wait for them.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    closing: CancellationToken,
    retries: Arc<Semaphore>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            retries: Arc::new(Semaphore::new(MAX_RETRIES_WAITING)),
        }
    }
}

impl Tasks {
    /// Spawns a detached task.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(work.in_current_span());
    }

    /// Runs work in its own task and waits for it. Dropping the returned future (a client
    /// disconnects, a job is aborted) does not stop the work.
    ///
    /// # Errors
    /// If the work panicked or the runtime is shutting down.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, JoinError>> + Send {
        self.tracker.spawn(work.in_current_span())
    }

    /// Retries a failed operation at growing intervals until an attempt returns true. Pending
    /// retries are lost with the process; a shutdown makes one last attempt.
    pub fn retry_later<F>(&self, what: &'static str, attempt: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        let Ok(permit) = Arc::clone(&self.retries).try_acquire_owned() else {
            tracing::error!(target: log::BACKGROUND, what, "too many background retries are waiting: giving up");
            return;
        };
        let closing = self.closing.clone();
        self.spawn(async move {
            let _permit = permit;
            for pause in PAUSES_SECS {
                let pause = tokio::time::sleep(Duration::from_secs(pause));
                let last = closing.run_until_cancelled(pause).await.is_none();
                if attempt().await {
                    tracing::info!(target: log::BACKGROUND, what, "background retry succeeded");
                    return;
                }
                if last {
                    break;
                }
            }
            tracing::error!(target: log::BACKGROUND, what, "background retries failed: giving up");
        });
    }

    /// Whether [`shutdown`](Self::shutdown) has been called.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Ends the pauses of retries and waits up to `limit` for every task to finish. Returns whether
    /// all have finished.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.closing.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::sleep;

    /// Counts attempts; the attempt with number `succeeds` succeeds.
    fn retry(tasks: &Tasks, succeeds: usize) -> Arc<AtomicUsize> {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        tasks.retry_later("a test", move || {
            let counted = Arc::clone(&counted);
            async move { counted.fetch_add(1, Ordering::SeqCst) + 1 == succeeds }
        });
        attempts
    }

    #[tokio::test(start_paused = true)]
    async fn retries_at_growing_intervals_until_success() {
        let attempts = retry(&Tasks::default(), 3);
        for (secs, expected) in [(1, 0), (2, 1), (10, 2), (59, 2), (2, 3), (10_000, 3)] {
            sleep(Duration::from_secs(secs)).await;
            assert_eq!(attempts.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn work_continues_when_its_waiter_is_dropped() {
        let (done, heard) = tokio::sync::oneshot::channel();
        let tasks = Tasks::default();
        let work = tasks.run(async move {
            tokio::task::yield_now().await;
            done.send(()).ok();
        });
        assert!(futures_util::FutureExt::now_or_never(work).is_none(), "dropped while pending");
        assert!(heard.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn e16_shutdown_waits_for_tasks_and_makes_one_last_attempt() {
        let tasks = Tasks::default();
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        tasks.spawn(async move {
            sleep(Duration::from_secs(3)).await;
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let attempts = retry(&tasks, 100);
        assert!(tasks.shutdown(Duration::from_secs(10)).await);
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert_eq!(attempts.load(Ordering::SeqCst), 1);
        assert!(tasks.is_closing());
        assert!(tasks.shutdown(Duration::ZERO).await, "idempotent");
    }

    #[tokio::test(start_paused = true)]
    async fn e16_shutdown_reports_a_task_that_does_not_end() {
        let tasks = Tasks::default();
        tasks.spawn(std::future::pending());
        assert!(!tasks.shutdown(Duration::from_secs(10)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_retries_are_bounded() {
        let tasks = Tasks::default();
        let waiting: Vec<_> = (0..MAX_RETRIES_WAITING).map(|_| retry(&tasks, 1)).collect();
        let refused = retry(&tasks, 1);
        sleep(Duration::from_secs(3)).await;
        assert!(waiting.iter().all(|attempts| attempts.load(Ordering::SeqCst) == 1));
        assert_eq!(refused.load(Ordering::SeqCst), 0);
    }
}

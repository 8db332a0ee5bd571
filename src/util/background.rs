//! Work that comes to its end, whether or not anybody waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinError;
use tracing::Instrument;

/// Runs the work in a task of its own and waits for it: whoever is dropped meanwhile (a browser
/// hangs up, a job is aborted) drops the waiting, not the work.
///
/// # Errors
/// When the work has panicked, or the runtime is closing.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    tokio::spawn(work.in_current_span()).await
}

/// How much may wait to be tried again; past it something has been down for long, and memory
/// matters more.
const MAX_WAITING: usize = 1024;

/// The pauses between the attempts: an hour and a half in all.
const PAUSES_SECS: [u64; 6] = [2, 10, 60, 300, 1200, 3600];

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A place among those that wait; given back when the task ends, however it does.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let place = Self;
        (WAITING.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tries what did not get through again, later and later, until an attempt says that it did. What
/// waits is lost with the process.
pub(crate) fn try_later<F>(what: &'static str, attempt: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = bool> + Send,
{
    let Some(place) = Place::take() else {
        tracing::error!(what, "too much waits to be tried again: this is given up");
        return;
    };
    tokio::spawn(async move {
        let _place = place;
        for pause in PAUSES_SECS {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            if attempt().await {
                tracing::info!(what, "what had failed got through");
                return;
            }
        }
        tracing::error!(what, "it has failed for more than an hour: it is given up");
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_later_and_later_until_it_gets_through() {
        let attempts = Arc::new(AtomicUsize::new(0));
        try_later("a test", {
            let attempts = Arc::clone(&attempts);
            move || {
                let attempts = Arc::clone(&attempts);
                async move { attempts.fetch_add(1, Ordering::SeqCst) == 2 }
            }
        });
        for (secs, expected) in [(1, 0), (2, 1), (10, 2), (59, 2), (2, 3), (10_000, 3)] {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            assert_eq!(attempts.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it() {
        let (done, heard) = tokio::sync::oneshot::channel();
        let work = to_its_end(async move {
            tokio::task::yield_now().await;
            done.send(()).ok();
        });
        assert!(futures_util::FutureExt::now_or_never(work).is_none(), "dropped at once");
        assert!(heard.await.is_ok());
    }
}

//! Limits how often the sites of a grant are listed again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use crate::api::ApiError;
use crate::store::StoreError;
use crate::util::clock::is_within;

/// How long to wait before the next listing, after a success and after a failure.
const AFTER_SUCCESS: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Why the grants of a site could not be found. Callers that share a lookup share its error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The store could not be used.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The call that lists the sites of a grant failed.
    #[error("could not list the sites of a grant at Webflow")]
    Webflow(#[source] Arc<ApiError>),
}

impl From<StoreError> for LookupError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<ApiError> for LookupError {
    fn from(error: ApiError) -> Self {
        Self::Webflow(Arc::new(error))
    }
}

/// The listings of one grant. They run one at a time, and the last outcome is reused for a while.
#[derive(Debug, Default)]
pub struct Listings {
    turn: AsyncMutex<()>,
    last: Mutex<Option<Listing>>,
}

#[derive(Debug)]
struct Listing {
    /// When it ended, in Unix milliseconds.
    at: u64,
    outcome: Result<(), LookupError>,
}

impl Listings {
    /// Returns the last outcome while it is recent, otherwise that of `list`. Concurrent callers
    /// share one listing. `now` returns Unix milliseconds.
    pub async fn share(
        &self,
        now: impl Fn() -> u64,
        list: impl Future<Output = Result<(), LookupError>>,
    ) -> Result<(), LookupError> {
        if let Some(outcome) = self.recent(now()) {
            return outcome;
        }
        let _turn = self.turn.lock().await;
        if let Some(outcome) = self.recent(now()) {
            return outcome;
        }
        let outcome = list.await;
        let listing = Listing { at: now(), outcome: outcome.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(listing);
        outcome
    }

    fn recent(&self, now: u64) -> Option<Result<(), LookupError>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Listing { at, outcome } = last.as_ref()?;
        let span = if outcome.is_ok() { AFTER_SUCCESS } else { AFTER_FAILURE };
        is_within(span, *at, now).then(|| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::cell::Cell;

    async fn list(listings: &Listings, now: u64, outcome: Result<(), ApiError>) -> (bool, bool) {
        let asked = Cell::new(false);
        let shared = listings.share(|| now, async {
            asked.set(true);
            outcome.map_err(LookupError::from)
        });
        let succeeded = shared.await.is_ok();
        (asked.get(), succeeded)
    }

    #[tokio::test]
    async fn success_is_reused_for_a_minute_and_failure_for_ten_seconds() {
        let listings = Listings::default();
        let failed = || Err(ApiError::Timeout);
        assert_eq!(list(&listings, 1000, failed()).await, (true, false));
        assert_eq!(list(&listings, 10_999, Ok(())).await, (false, false));
        assert_eq!(list(&listings, 11_000, Ok(())).await, (true, true));
        assert_eq!(list(&listings, 70_999, failed()).await, (false, true));
        assert_eq!(list(&listings, 71_000, failed()).await, (true, false));
        assert_eq!(
            list(&listings, 70_000, Ok(())).await,
            (true, true),
            "a clock that was set back"
        );
    }

    #[tokio::test]
    async fn concurrent_callers_share_a_failure() {
        let (listings, asked) = (Listings::default(), Cell::new(0));
        let call = || {
            listings.share(|| 0, async {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Err(ApiError::Timeout.into())
            })
        };
        let outcomes = join_all((0..20).map(|_| call())).await;
        assert!(outcomes.iter().all(|it| matches!(it, Err(LookupError::Webflow(_)))));
        assert_eq!(asked.get(), 1);
    }
}

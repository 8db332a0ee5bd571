//! Encrypts every row with the newest key, so that an old key can be removed.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use super::pace::{Pace, Ticker};
use crate::context::handle::WebflowAuthHandle;
use crate::store::{SealedToken, StoreError, TokenKey};
use crate::vault::{Resealed, Vault};

/// Why a row was not resealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError {
    /// No key of the ring opens the row. The layer ignores such rows.
    #[error("no key of the ring opens a stored grant")]
    Unopenable(TokenKey),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebflowAuthHandle {
    /// Encrypts this app's rows that are under an older key with the newest one.
    ///
    /// The stream yields one item for each row that it wrote, and one for each that it could not
    /// open. Rows under the newest key are skipped, so a new run continues an interrupted one, and
    /// a second run does nothing. A row that changes during the run is skipped. Several instances
    /// may run this concurrently, while users sign in and out.
    ///
    /// To rotate a key: give every instance both keys, the new one first; reseal; wait until the
    /// sessions signed with the old key have expired or were renewed
    /// ([`session_lifetime`](crate::config::WebflowAuthBuilder::session_lifetime)); remove the old
    /// key.
    ///
    /// ```no_run
    /// # use tower_webflow_auth::WebflowAuthHandle;
    /// use futures::StreamExt;
    /// use std::pin::pin;
    /// use tower_webflow_auth::Pace;
    ///
    /// # async fn run(handle: WebflowAuthHandle) {
    /// let mut resealed = pin!(handle.reseal(Pace::per_second(50)));
    /// while let Some(row) = resealed.next().await {
    ///     if let Err(error) = row {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ResealError`]. The stream continues after a row that cannot be opened or written, and ends
    /// after a page of rows that cannot be read.
    #[expect(clippy::needless_pass_by_value, reason = "built for this call")]
    pub fn reseal(
        &self,
        pace: Pace,
    ) -> impl Stream<Item = Result<TokenKey, ResealError>> + Send + use<> {
        let vault = Arc::clone(&self.context.vault);
        let rows = vault.scan(pace.first()).boxed();
        let run = Run { vault, ticker: pace.ticker(), rows };
        stream::unfold(run, |mut run| async move { run.next().await.map(|item| (item, run)) })
    }
}

struct Run {
    vault: Arc<Vault>,
    ticker: Ticker,
    rows: BoxStream<'static, Result<SealedToken, StoreError>>,
}

impl Run {
    async fn next(&mut self) -> Option<Result<TokenKey, ResealError>> {
        loop {
            let row = match self.rows.next().await? {
                Ok(row) if self.vault.is_newest(&row) => continue,
                Ok(row) => row,
                Err(error) => return Some(Err(error.into())),
            };
            self.ticker.tick().await;
            let key = self.vault.public_key(row.key());
            match self.vault.reseal(&row).await {
                Ok(Resealed::Written) => return Some(Ok(key)),
                Ok(Resealed::Skipped) => {}
                Ok(Resealed::Unopenable) => return Some(Err(ResealError::Unopenable(key))),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

//! Tokens outside a request: for jobs and webhooks.

use std::sync::Arc;
use std::time::Duration;

use crate::disconnect::{DisconnectError, disconnect};
use crate::shared::Shared;
use crate::store::StoreError;
use crate::{Subject, WebflowToken};

/// The way to stored tokens outside a request.
///
/// Made by [`WebflowAuthLayer::handle`](crate::WebflowAuthLayer::handle); clones share everything.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowAuthHandle, store::StoreError};
///
/// async fn on_webhook(handle: WebflowAuthHandle, site_id: &str) -> Result<(), StoreError> {
///     if let Some(token) = handle.tokens_for_site(site_id).await?.first() {
///         let _sites = token.api().get("/v2/sites").send().await;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct WebflowAuthHandle {
    shared: Arc<Shared>,
}

impl WebflowAuthHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The subject's newest token; `None` when it has none.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn token(&self, subject: &Subject) -> Result<Option<WebflowToken>, StoreError> {
        Ok(self.shared.vault.load(subject).await?.iter().find(|token| !token.is_dead()).cloned())
    }

    /// Every token of the subject, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn tokens(&self, subject: &Subject) -> Result<Vec<WebflowToken>, StoreError> {
        Ok(self.shared.vault.load(subject).await?.to_vec())
    }

    /// Every token that covers the site, newest first.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no look-up by site.
    pub async fn tokens_for_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        self.shared.vault.by_site(site_id).await
    }

    /// Every token that covers the workspace, newest first.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no look-up by workspace.
    pub async fn tokens_for_workspace(
        &self,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, StoreError> {
        self.shared.vault.by_workspace(workspace_id).await
    }

    /// Revokes every grant of the subject at Webflow and removes it. Tells how many there were.
    ///
    /// # Errors
    /// [`DisconnectError::Store`] when the store cannot be used; [`DisconnectError::Webflow`] when
    /// the grants are gone here but Webflow could not be told.
    pub async fn revoke(&self, subject: &Subject) -> Result<usize, DisconnectError> {
        disconnect(&self.shared, subject, true).await
    }

    /// Removes every grant whose token was obtained longer ago than `age`, without telling
    /// Webflow. Tells how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store cannot purge.
    pub async fn purge(&self, age: Duration) -> Result<u64, StoreError> {
        self.shared.vault.purge_older_than(age).await
    }

    /// Whether the store can be used right now, for a health check.
    ///
    /// # Errors
    /// The [`StoreError`] that a look-up would meet.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.shared.vault.healthy().await
    }
}

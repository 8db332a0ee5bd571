//! Tokens outside a request: for jobs and webhooks.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{ApiError, AuthorizedUser};
use crate::context::Shared;
use crate::grant::revoke::{RevokeError, disconnect, disconnect_one};
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::StoreError;

/// Why an ID token could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No stored grant names the site: its users have not connected Webflow, or have allowed their
    /// whole workspace.
    #[error("no grant names the site")]
    NoGrant,
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Webflow refused the ID token, or could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// The way to stored tokens outside a request.
///
/// Made by [`WebflowAuthLayer::handle`](crate::WebflowAuthLayer::handle); clones share everything.
/// No layer is there to forget a token that Webflow refuses: a job does that itself.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowAuthHandle, api::ApiError};
///
/// type Error = Box<dyn std::error::Error>;
///
/// async fn count_sites(handle: WebflowAuthHandle, site_id: &str) -> Result<usize, Error> {
///     for token in handle.tokens_for_site(site_id).await? {
///         match token.api().sites().await {
///             Ok(sites) => return Ok(sites.len()),
///             Err(ApiError::Unauthorized { token, .. }) => handle.revoke_grant(&token).await?,
///             Err(error) => return Err(error.into()),
///         }
///     }
///     Err("nobody has connected this site".into())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct WebflowAuthHandle {
    pub(crate) shared: Arc<Shared>,
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
        let tokens = self.shared.vault.load(subject).await?;
        Ok(tokens.iter().filter(|token| !token.is_dead()).cloned().collect())
    }

    /// Every token whose grant names the site, newest first.
    ///
    /// A user may have allowed a whole workspace instead of single sites: such a grant names no
    /// site, and is found by [`tokens_for_workspace`](Self::tokens_for_workspace).
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no look-up by site.
    pub async fn tokens_for_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        self.shared.vault.by_site(site_id).await
    }

    /// Whose ID token this is: a Designer Extension gets one from `webflow.getIdToken()` (valid 15
    /// minutes), sends it to its backend together with the site's id, and the backend asks Webflow
    /// by the site's own grant. `site_id` must be one that a grant names.
    ///
    /// A grant of a whole workspace names no site: find it by
    /// [`tokens_for_workspace`](Self::tokens_for_workspace), and `POST` `{"idToken": ..}` to
    /// `/beta/token/resolve` with its [`api`](WebflowToken::api).
    ///
    /// # Errors
    /// [`ResolveError`].
    ///
    /// # Security
    /// Take the site's id from the request, and the user from the answer: an ID token of another
    /// site's user is refused by Webflow.
    pub async fn resolve_id_token(
        &self,
        site_id: &str,
        id_token: &str,
    ) -> Result<AuthorizedUser, ResolveError> {
        let tokens = self.tokens_for_site(site_id).await?;
        let token = tokens.first().ok_or(ResolveError::NoGrant)?;
        let body = serde_json::json!({ "idToken": id_token });
        let answer = token.api().post("/beta/token/resolve").json(&body).send().await?;
        Ok(answer.json().await?)
    }

    /// Every token whose grant names the workspace, newest first.
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
    /// [`RevokeError::Store`] when the store cannot be used; [`RevokeError::Webflow`] when
    /// the grants are gone here but Webflow could not be told.
    ///
    /// # Cancel safety
    /// Once it is polled, it comes to its end also when this future is dropped: no grant is revoked
    /// and still served.
    pub async fn revoke(&self, subject: &Subject) -> Result<usize, RevokeError> {
        disconnect(&self.shared, subject, true).await
    }

    /// Revokes one grant at Webflow and removes it; the subject's others stay.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke), and so is its cancel safety.
    pub async fn revoke_grant(&self, grant: &WebflowToken) -> Result<(), RevokeError> {
        disconnect_one(&self.shared, grant).await
    }

    /// Removes every grant whose token was obtained longer ago than `age`, whether it is in use or
    /// not, without telling Webflow. Tells how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store cannot purge.
    pub async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
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

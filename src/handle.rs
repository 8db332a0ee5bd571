//! What the methods of [`WebflowAuthHandle`] return: stored grants, their state, and errors.
//!
//! The handle gives jobs and webhooks the tokens that are stored, outside any request.

use std::sync::Arc;
use std::time::Duration;

use crate::context::handle::WebflowAuthHandle;
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::identity::subject::Subject;
use crate::lifecycle::disconnect::{disconnect, disconnect_one};
use crate::lifecycle::find;
use crate::lifecycle::id_token::{is_id_token, resolve};
use crate::middleware::WebflowAuthLayer;
use crate::store::StoreError;
use crate::vault::cache::Tokens;

pub use crate::grant::site_listings::LookupError;
pub use crate::lifecycle::disconnect::RevokeError;
pub use crate::lifecycle::id_token::IdTokenError;
pub use crate::lifecycle::list::StoredGrant;
pub use crate::lifecycle::reseal::ResealError;
pub use crate::lifecycle::verify::GrantState;

impl WebflowAuthLayer {
    /// Returns a handle to the stored tokens, for background jobs and webhooks.
    pub fn handle(&self) -> WebflowAuthHandle {
        WebflowAuthHandle::new(Arc::clone(self.context()))
    }
}

impl WebflowAuthHandle {
    async fn load(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        let vault = &self.context.vault;
        vault.load(&vault.public(subject)).await
    }

    /// Returns the subject's newest token, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn token(&self, subject: &Subject) -> Result<Option<WebflowToken>, StoreError> {
        Ok(self.tokens(subject).await?.into_iter().next())
    }

    /// Returns the subject's tokens, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn tokens(&self, subject: &Subject) -> Result<Vec<WebflowToken>, StoreError> {
        let tokens = self.load(subject).await?;
        Ok(for_jobs(&find::live(&self.context, &tokens)))
    }

    /// Returns the tokens of all grants that cover the site, newest first.
    ///
    /// A grant of a whole workspace covers the sites that the workspace had at the login, provided
    /// that it has the scope `sites:read`. For sites that were added later, use
    /// [`tokens_for_site_in`](Self::tokens_for_site_in).
    ///
    /// # Errors
    /// [`StoreError`]. [`StoreError::Unsupported`] if the store has no lookup by site.
    pub async fn tokens_for_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        Ok(for_jobs(&find::by_site(&self.context, site_id).await?))
    }

    /// Returns the tokens of all grants that cover the site, newest first, even if the site was
    /// added to its workspace after the login.
    ///
    /// If no grant is known to cover the site, this lists the sites that the workspace's grants
    /// cover now (`GET /v2/sites`, scope `sites:read`), and stores the result with the grants. The
    /// sites of a grant are listed at most once a minute, and at the earliest 10 seconds after a
    /// failure, whatever site IDs are given. Concurrent callers share the request. These limits are
    /// per process. A workspace without a grant costs no request.
    ///
    /// The workspace ID is only a hint: a grant that is known to cover the site is found with any
    /// workspace ID. Both IDs may come from a webhook or a Designer Extension.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the store cannot be used, or has no lookup by site and by
    /// workspace. [`LookupError::Webflow`] if no grant was found but a call to Webflow failed, so
    /// that one may still exist.
    ///
    /// # Cancel safety
    /// If this future is dropped, a request to Webflow in progress continues, and its result is
    /// stored.
    pub async fn tokens_for_site_in(
        &self,
        site_id: &str,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, LookupError> {
        Ok(for_jobs(&find::by_site_in(&self.context, site_id, workspace_id).await?))
    }

    /// Resolves an ID token to its user.
    ///
    /// A Designer Extension gets an ID token from `webflow.getIdToken()` (valid for 15 minutes),
    /// and sends it to its backend together with the site's ID. This method tries up to four grants
    /// of the site, newest first, until one resolves the ID token at Webflow. The grants need the
    /// scope `authorized_user:read`. A grant whose token Webflow rejects is removed. All attempts
    /// together take no longer than the builder's
    /// [`timeout`](crate::config::WebflowAuthBuilder::timeout).
    ///
    /// The grants are those of [`tokens_for_site`](Self::tokens_for_site), so a grant of a whole
    /// workspace needs the scope `sites:read` as well. Source: Webflow, *Hybrid Apps*.
    ///
    /// # Errors
    /// [`IdTokenError`].
    ///
    /// # Security
    /// The client can send the ID of any site. Webflow's response names the site that the ID token
    /// was issued for. If that is another site, the error is [`IdTokenError::Refused`].
    pub async fn resolve_id_token(
        &self,
        site_id: &str,
        id_token: &str,
    ) -> Result<WebflowUser, IdTokenError> {
        if !is_id_token(id_token) {
            return Err(IdTokenError::Refused);
        }
        let tokens = self.tokens_for_site(site_id).await?;
        let resolved = resolve(&self.context, &tokens, site_id, id_token).await?;
        Ok(resolved.user)
    }

    /// Returns the tokens of all grants that name the workspace, newest first.
    ///
    /// # Errors
    /// [`StoreError`]. [`StoreError::Unsupported`] if the store has no lookup by workspace.
    pub async fn tokens_for_workspace(
        &self,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, StoreError> {
        Ok(for_jobs(&find::by_workspace(&self.context, workspace_id).await?))
    }

    /// Revokes all grants of the subject at Webflow and removes them. Returns their number.
    ///
    /// # Errors
    /// [`RevokeError::Store`] if the store cannot be used. [`RevokeError::WebflowUnreachable`] if the
    /// grants were removed here but could not be revoked at Webflow.
    ///
    /// # Cancel safety
    /// Once polled, the work completes even if this future is dropped. A revoked grant is never
    /// served.
    pub async fn revoke(&self, subject: &Subject) -> Result<usize, RevokeError> {
        disconnect(&self.context, &self.context.vault.public(subject)).await
    }

    /// Revokes one grant at Webflow and removes it. The subject's other grants stay.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke). The cancel safety is the same, too.
    pub async fn revoke_grant(&self, grant: &WebflowToken) -> Result<(), RevokeError> {
        disconnect_one(&self.context, grant).await
    }

    /// Removes all grants of this app whose tokens were obtained longer ago than `age`, even if
    /// they are in use, without revoking them at Webflow. Returns their number.
    ///
    /// If the store cannot list its rows, this removes the old grants of every app that shares it.
    ///
    /// # Errors
    /// [`StoreError`]. [`StoreError::Unsupported`] if the store can neither list nor purge.
    pub async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.context.vault.purge_older_than(age).await
    }

    /// Checks that the store can be used, for a health check.
    ///
    /// # Errors
    /// The [`StoreError`] that a lookup would meet.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.context.vault.healthy().await
    }
}

/// Marks the tokens as used outside a request.
fn for_jobs(tokens: &[WebflowToken]) -> Vec<WebflowToken> {
    tokens.iter().map(WebflowToken::for_job).collect()
}

//! What the methods of [`WebflowAuthHandle`] return: stored grants, their state, and errors.
//!
//! The handle gives jobs and webhooks the tokens that are stored, outside any request.

use std::sync::Arc;
use std::time::Duration;

use crate::context::handle::WebflowAuthHandle;
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::identity::subject::Subject;
use crate::lifecycle::find;
use crate::lifecycle::id_token::{is_id_token, resolve};
use crate::lifecycle::revoke::{disconnect, disconnect_one};
use crate::middleware::WebflowAuthLayer;
use crate::store::StoreError;
use crate::vault::cache::Tokens;

pub use crate::grant::listing::LookupError;
pub use crate::lifecycle::id_token::IdTokenError;
pub use crate::lifecycle::list::StoredGrant;
pub use crate::lifecycle::reseal::ResealError;
pub use crate::lifecycle::revoke::RevokeError;
pub use crate::lifecycle::verify::GrantState;

impl WebflowAuthLayer {
    /// Tokens outside a request: for jobs and webhooks.
    pub fn handle(&self) -> WebflowAuthHandle {
        WebflowAuthHandle::new(Arc::clone(self.context()))
    }
}

impl WebflowAuthHandle {
    async fn load(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        let vault = &self.context.vault;
        vault.load(&vault.public(subject)).await
    }

    /// The subject's newest token; `None` when it has none.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn token(&self, subject: &Subject) -> Result<Option<WebflowToken>, StoreError> {
        Ok(self.tokens(subject).await?.into_iter().next())
    }

    /// Every token of the subject, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn tokens(&self, subject: &Subject) -> Result<Vec<WebflowToken>, StoreError> {
        let tokens = self.load(subject).await?;
        Ok(for_jobs(&find::live(&self.context, &tokens)))
    }

    /// Every token whose grant covers the site, newest first.
    ///
    /// A grant of a whole workspace is among them if it has the scope `sites:read`, with the sites
    /// that the workspace had when the grant was given.
    /// [`tokens_for_site_in`](Self::tokens_for_site_in) also finds it for sites that were added
    /// later.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no lookup by site.
    pub async fn tokens_for_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        Ok(for_jobs(&find::by_site(&self.context, site_id).await?))
    }

    /// Every token whose grant covers the site, newest first; the site may be new in its workspace.
    ///
    /// When no grant is known to cover the site, Webflow is asked which sites the grants of the
    /// workspace cover now (`GET /v2/sites`, scope `sites:read`). The response is stored with the
    /// grant. Webflow is asked at most once a minute for each grant, whatever site IDs are given,
    /// and 10 seconds after a failure at the earliest; callers at the same time share the request.
    /// The limit counts within one process. A workspace that no grant has costs no request.
    ///
    /// The workspace ID only says where to look: a grant that covers the site is found whatever
    /// workspace ID is given. Both IDs may come from a webhook or a Designer Extension.
    ///
    /// # Errors
    /// [`LookupError::Store`] when the store cannot be used, or has no lookup by site and by
    /// workspace. [`LookupError::Webflow`] when no grant is found and Webflow could not be asked for
    /// one of them: that is no proof that there is none.
    ///
    /// # Cancel safety
    /// A request to Webflow that has begun goes on when this future is dropped, and its result is
    /// stored.
    pub async fn tokens_for_site_in(
        &self,
        site_id: &str,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, LookupError> {
        Ok(for_jobs(&find::by_site_in(&self.context, site_id, workspace_id).await?))
    }

    /// The user of an ID token.
    ///
    /// A Designer Extension gets one from `webflow.getIdToken()` (valid 15 minutes) and sends it to
    /// its backend together with the site's ID. The backend asks Webflow with up to four grants of
    /// that site, newest first, until one resolves the ID token. The grants need the scope
    /// `authorized_user:read`. A grant whose token Webflow rejects is removed. The whole takes no
    /// longer than the builder's [`timeout`](crate::config::WebflowAuthBuilder::timeout).
    ///
    /// The grants are those of [`tokens_for_site`](Self::tokens_for_site), so a grant of a whole
    /// workspace needs the scope `sites:read` as well. Source: Webflow, *Hybrid Apps*.
    ///
    /// # Errors
    /// [`IdTokenError`].
    ///
    /// # Security
    /// The client could send the ID of any site. Webflow's response names the site that the ID token
    /// was issued for; if it is another one, the error is [`IdTokenError::Refused`].
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

    /// Every token whose grant names the workspace, newest first.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no lookup by workspace.
    pub async fn tokens_for_workspace(
        &self,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, StoreError> {
        Ok(for_jobs(&find::by_workspace(&self.context, workspace_id).await?))
    }

    /// Revokes every grant of the subject at Webflow and removes it. Tells how many there were.
    ///
    /// # Errors
    /// [`RevokeError::Store`] when the store cannot be used; [`RevokeError::WebflowUnreachable`]
    /// when the grants are gone here but Webflow could not be told.
    ///
    /// # Cancel safety
    /// Once it is polled, it comes to its end also when this future is dropped: no grant is revoked
    /// and still served.
    pub async fn revoke(&self, subject: &Subject) -> Result<usize, RevokeError> {
        disconnect(&self.context, &self.context.vault.public(subject)).await
    }

    /// Revokes one grant at Webflow and removes it; the subject's others stay.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke), and so is its cancel safety.
    pub async fn revoke_grant(&self, grant: &WebflowToken) -> Result<(), RevokeError> {
        disconnect_one(&self.context, grant).await
    }

    /// Removes every grant of this app whose token was obtained longer ago than `age`, whether it is
    /// in use or not, without telling Webflow. Returns how many there were.
    ///
    /// In a store that cannot list its rows, the grants of every app that shares it are removed.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store can neither list nor purge.
    pub async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.context.vault.purge_older_than(age).await
    }

    /// Whether the store can be used right now, for a health check.
    ///
    /// # Errors
    /// The [`StoreError`] that a lookup would meet.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.context.vault.healthy().await
    }
}

/// Returns the tokens in the form for use outside a request.
fn for_jobs(tokens: &[WebflowToken]) -> Vec<WebflowToken> {
    tokens.iter().map(WebflowToken::for_job).collect()
}

//! Ends a subject's grants, here and at Webflow.
//!
//! All of it runs in tasks of their own: what was begun comes to its end, so that no grant is
//! revoked and still served because a browser hung up in between.

use std::sync::Arc;

use super::token::WebflowToken;
use crate::context::Shared;
use crate::identity::subject::Subject;
use crate::store::StoreError;
use crate::webflow::revocation;

/// Why a grant is not, or not wholly, revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The store could not be used: what is stored may still be there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The grants are gone from the store, but Webflow could not be told; it is asked again in
    /// the background while the process lives.
    #[error("Webflow could not be told that the authorization has ended; it is asked again")]
    Webflow,
}

/// Removes every grant of the subject, after revoking it at Webflow when `revoke` is set. Tells
/// how many there were.
pub(crate) async fn disconnect(
    shared: &Arc<Shared>,
    subject: &Subject,
    revoke: bool,
) -> Result<usize, RevokeError> {
    let (own, subject) = (Arc::clone(shared), subject.clone());
    let work = async move { end_all(&own, &subject, revoke).await };
    shared.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Revokes one grant at Webflow and removes it; the subject's others stay.
pub(crate) async fn disconnect_one(
    shared: &Arc<Shared>,
    token: &WebflowToken,
) -> Result<(), RevokeError> {
    let (own, token) = (Arc::clone(shared), token.clone());
    let work = async move {
        let told = end(&own, &token, true).await?;
        tracing::info!(subject = ?token.subject(), grant = %token.grant_id(), "disconnected");
        if told { Ok(()) } else { Err(RevokeError::Webflow) }
    };
    shared.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Forgets a token that Webflow refuses: exactly that version. True if it was still there.
pub(crate) async fn forget(shared: &Arc<Shared>, dead: &WebflowToken) -> Result<bool, StoreError> {
    let (own, dead) = (Arc::clone(shared), dead.clone());
    let work = async move {
        // If many requests hit the dead token at once, exactly one removes it.
        let was_there = own.vault.remove(&dead).await?;
        tracing::info!(subject = ?dead.subject(), "Webflow refuses the token: it is forgotten");
        if was_there {
            own.hooks.revoked(&dead);
        }
        Ok(was_there)
    };
    shared.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone)))
}

/// [`disconnect`] for whoever is in a task of its own already.
pub(crate) async fn end_all(
    shared: &Arc<Shared>,
    subject: &Subject,
    revoke: bool,
) -> Result<usize, RevokeError> {
    let tokens = shared.vault.load_anew(subject).await?;
    let mut told = true;
    for token in tokens.iter() {
        told &= end(shared, token, revoke).await?;
    }
    tracing::info!(?subject, grants = tokens.len(), revoke, "disconnected");
    if told { Ok(tokens.len()) } else { Err(RevokeError::Webflow) }
}

/// Whether Webflow was told, where it had to be.
async fn end(
    shared: &Arc<Shared>,
    token: &WebflowToken,
    revoke: bool,
) -> Result<bool, RevokeError> {
    let told = !revoke || revoke_now_or_later(shared, token).await;
    match shared.vault.remove(token).await {
        Ok(true) => shared.hooks.revoked(token),
        Ok(false) => {}
        Err(error) => {
            if revoke {
                remove_later(shared, token);
            }
            return Err(error.into());
        }
    }
    Ok(told)
}

/// Removes in the background what is worth nothing any more, where the store could not do it.
pub(crate) fn remove_later(shared: &Arc<Shared>, token: &WebflowToken) {
    let (own, token) = (Arc::clone(shared), token.clone());
    shared.tasks.retry_later("the removal of a revoked grant", move || {
        let (shared, token) = (Arc::clone(&own), token.clone());
        async move { shared.vault.remove(&token).await.is_ok() }
    });
}

async fn revoke_now_or_later(shared: &Arc<Shared>, token: &WebflowToken) -> bool {
    let Err(error) = shared.webflow.revoke(token.access_token()).await else {
        return true;
    };
    tracing::error!(
        authorization = token.authorization_id(),
        error = &error as &dyn std::error::Error,
        "Webflow could not be told of a revocation; it is asked again"
    );
    let webflow = Arc::clone(&shared.webflow);
    revocation::retry_later(&shared.tasks, webflow, token.access_token().clone());
    false
}

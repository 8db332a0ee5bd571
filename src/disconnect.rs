//! Ends a subject's grants, here and at Webflow.

use std::sync::Arc;

use crate::shared::Shared;
use crate::store::StoreError;
use crate::webflow::revocation;
use crate::{Subject, WebflowToken};

/// Why a subject is not, or not wholly, disconnected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectError {
    /// The store could not be used: what is stored is still there.
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
) -> Result<usize, DisconnectError> {
    let tokens = shared.vault.load_anew(subject).await?;
    let mut told = true;
    for token in tokens.iter() {
        told &= end(shared, token, revoke).await?;
    }
    tracing::info!(?subject, grants = tokens.len(), revoke, "disconnected");
    if told { Ok(tokens.len()) } else { Err(DisconnectError::Webflow) }
}

/// Revokes one grant at Webflow and removes it; the subject's others stay.
pub(crate) async fn disconnect_one(
    shared: &Arc<Shared>,
    token: &WebflowToken,
) -> Result<(), DisconnectError> {
    let told = end(shared, token, true).await?;
    tracing::info!(subject = ?token.subject(), grant = %token.grant_id(), "disconnected");
    if told { Ok(()) } else { Err(DisconnectError::Webflow) }
}

/// Whether Webflow was told, where it had to be.
async fn end(
    shared: &Arc<Shared>,
    token: &WebflowToken,
    revoke: bool,
) -> Result<bool, DisconnectError> {
    let told = !revoke || revoke_now_or_later(shared, token).await;
    if shared.vault.remove(token).await? {
        shared.hooks.revoked(token);
    }
    Ok(told)
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
    revocation::retry_later(Arc::clone(&shared.webflow), token.access_token().clone());
    false
}

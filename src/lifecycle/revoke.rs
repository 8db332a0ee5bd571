//! Ends grants, here and at Webflow.
//!
//! All of it runs in its own tasks, so that no grant is half removed because a browser hung up. A
//! grant that is about to be removed is refused in this process from the start. The row goes first,
//! since only its removal can fail without an effect: then nothing has changed.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::context::Context;
use crate::grant::token::WebflowToken;
use crate::hooks::Why;
use crate::identity::subject::Subject;
use crate::store::StoreError;
use crate::util::log;
use crate::vault::cache::Tokens;

/// Why a grant was not, or not completely, revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The store could not be used; grants that it still has are as they were.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The grants are gone from the store, but Webflow could not be told. The revocation is
    /// retried in the background while the process lives.
    #[error("Webflow could not be told that the authorization has ended; retrying")]
    WebflowUnreachable,
}

/// Revokes every grant of the subject at Webflow and removes it. Returns how many there were.
pub async fn disconnect(context: &Arc<Context>, subject: &Subject) -> Result<usize, RevokeError> {
    let (own, subject) = (Arc::clone(context), subject.clone());
    let work = async move { end_all(&own, &subject, true, Why::Revoked).await };
    context.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Revokes one grant at Webflow and removes it; the subject's others stay.
pub async fn disconnect_one(
    context: &Arc<Context>,
    token: &WebflowToken,
) -> Result<(), RevokeError> {
    let (own, token) = (Arc::clone(context), token.clone());
    let work = async move {
        let told = end(&own, &token, true, Why::Revoked).await?;
        let (subject, grant) = (token.subject(), token.grant_id());
        tracing::info!(target: log::GRANT, ?subject, %grant, "disconnected");
        if told { Ok(()) } else { Err(RevokeError::WebflowUnreachable) }
    };
    context.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Removes a token that Webflow refuses: exactly that version. True if it was still there.
pub async fn remove_dead(context: &Arc<Context>, dead: &WebflowToken) -> Result<bool, StoreError> {
    let (own, dead) = (Arc::clone(context), dead.clone());
    let work = async move {
        dead.state().mark_dead();
        // If many requests hit the dead token at the same time, exactly one removes it.
        let was_there = remove(&own, &dead, false, Why::Dead).await?;
        let subject = dead.subject();
        tracing::info!(target: log::GRANT, ?subject, "Webflow refuses the token; removed it");
        Ok(was_there)
    };
    context.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone)))
}

/// [`remove_dead`] in the background, until it succeeds.
pub fn remove_dead_later(context: &Arc<Context>, dead: &WebflowToken) {
    let (own, dead) = (Arc::clone(context), dead.clone());
    context.tasks.spawn(async move {
        let Err(error) = remove_dead(&own, &dead).await else { return };
        let error = &error as &dyn std::error::Error;
        tracing::warn!(target: log::GRANT, error, "could not remove a dead grant; retrying in the background");
        let context = Arc::clone(&own);
        context.tasks.retry_later("the removal of a dead grant", move || {
            let (context, dead) = (Arc::clone(&own), dead.clone());
            async move { remove_dead(&context, &dead).await.is_ok() }
        });
    });
}

/// Removes every grant of the subject, and revokes them at Webflow when `revoke` is set. For callers
/// that run in a task of their own already.
pub async fn end_all(
    context: &Arc<Context>,
    subject: &Subject,
    revoke: bool,
    why: Why,
) -> Result<usize, RevokeError> {
    let tokens = context.vault.load_anew(subject).await?;
    let outcomes = join_all(tokens.iter().map(|token| end(context, token, revoke, why))).await;
    let mut told = true;
    for outcome in outcomes {
        told &= outcome?;
    }
    let grants = tokens.len();
    tracing::info!(target: log::GRANT, ?subject, grants, revoke, "disconnected");
    if told { Ok(grants) } else { Err(RevokeError::WebflowUnreachable) }
}

/// Whether Webflow was told, where it had to be.
async fn end(
    context: &Arc<Context>,
    token: &WebflowToken,
    revoke: bool,
    why: Why,
) -> Result<bool, RevokeError> {
    let was_dead = token.is_dead();
    token.state().mark_dead();
    if let Err(error) = remove(context, token, revoke, why).await {
        if !was_dead {
            token.state().revive();
        }
        return Err(error.into());
    }
    Ok(!revoke || revoke_now_or_later(context, token).await)
}

/// Removes the row and reports it. The store's answer may be lost, or come after its budget: then
/// the grant is reported, and revoked where `revoke` is set, when the row has gone.
async fn remove(
    context: &Arc<Context>,
    token: &WebflowToken,
    revoke: bool,
    why: Why,
) -> Result<bool, StoreError> {
    let (own, gone) = (Arc::clone(context), token.clone());
    let late = move || {
        report(&own, &gone, why);
        if revoke {
            let tasks = own.tasks.clone();
            tasks.spawn(async move {
                revoke_now_or_later(&own, &gone).await;
            });
        }
    };
    let removed = match context.vault.remove_or_late(token, late).await {
        Err(error) if !has_gone(context, token).await => return Err(error),
        removed => removed.unwrap_or(true),
    };
    if removed {
        report(context, token, why);
    }
    Ok(removed)
}

/// Tells the application, once.
pub fn report(context: &Context, token: &WebflowToken, why: Why) {
    context.hooks.revoked(&context.tasks, token, why);
}

/// Whether the row went although the removal failed: its answer was lost.
async fn has_gone(context: &Arc<Context>, token: &WebflowToken) -> bool {
    let version = token.grant().version;
    let there = |tokens: &Tokens| tokens.iter().any(|token| token.grant().version == version);
    context.vault.load_anew(token.subject()).await.is_ok_and(|tokens| !there(&tokens))
}

/// Removes a grant in the background, where the store could not do it now, and reports it if `why` is
/// given.
pub fn remove_later(context: &Arc<Context>, token: &WebflowToken, why: Option<Why>) {
    let (own, token) = (Arc::clone(context), token.clone());
    context.tasks.retry_later("the removal of a grant", move || {
        let (context, token) = (Arc::clone(&own), token.clone());
        async move {
            let removed = context.vault.remove(&token).await;
            if let (Ok(true), Some(why)) = (&removed, why) {
                report(&context, &token, why);
            }
            removed.is_ok()
        }
    });
}

/// Revokes a token at Webflow, now or in the background. Whether Webflow was told now.
pub async fn revoke_now_or_later(context: &Arc<Context>, token: &WebflowToken) -> bool {
    let Err(error) = context.webflow.revoke(token.access_token()).await else {
        return true;
    };
    let error = &error as &dyn std::error::Error;
    let authorization = token.authorization_id();
    tracing::error!(
        target: log::GRANT,
        authorization,
        error,
        "could not revoke a token at Webflow; retrying in the background"
    );
    let webflow = Arc::clone(&context.webflow);
    webflow.retry_revocation(&context.tasks, token.access_token().clone());
    false
}

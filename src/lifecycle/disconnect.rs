//! Removes grants, and revokes them at Webflow.
//!
//! The work runs in its own tasks, so that a dropped connection leaves no grant half removed. This
//! process stops serving the grant first. The row is removed before the revocation, so that a
//! failing store leaves everything unchanged.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::context::Context;
use crate::grant::token::WebflowToken;
use crate::hooks::Why;
use crate::identity::subject::Subject;
use crate::store::StoreError;
use crate::util::log;
use crate::vault::cache::Tokens;

/// Why a grant was not completely revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The store could not be used. Grants that it still contains are unchanged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The grants were removed from the store, but could not be revoked at Webflow. The revocation
    /// is retried in the background while the process runs.
    #[error("could not revoke the authorization at Webflow; retrying in the background")]
    WebflowUnreachable,
}

/// Revokes all grants of the subject at Webflow and removes them. Returns their number.
pub async fn disconnect(context: &Arc<Context>, subject: &Subject) -> Result<usize, RevokeError> {
    let (own, subject) = (Arc::clone(context), subject.clone());
    let work = async move { end_all(&own, &subject, true, Why::Revoked).await };
    context.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Revokes one grant at Webflow and removes it.
pub async fn disconnect_one(
    context: &Arc<Context>,
    token: &WebflowToken,
) -> Result<(), RevokeError> {
    let (own, token) = (Arc::clone(context), token.clone());
    let work = async move {
        let revoked = end(&own, &token, true, Why::Revoked).await?;
        let (subject, grant) = (token.subject(), token.grant_id());
        tracing::info!(target: log::GRANT, ?subject, %grant, "disconnected");
        if revoked { Ok(()) } else { Err(RevokeError::WebflowUnreachable) }
    };
    context.tasks.run(work).await.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into()))
}

/// Removes exactly this version of a token, which Webflow rejects. Returns whether it was stored.
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
        context.tasks.retry_later("removing a dead grant", move || {
            let (context, dead) = (Arc::clone(&own), dead.clone());
            async move { remove_dead(&context, &dead).await.is_ok() }
        });
    });
}

/// Removes all grants of the subject, and revokes them at Webflow if `revoke` is set. The caller
/// must run in its own task.
pub async fn end_all(
    context: &Arc<Context>,
    subject: &Subject,
    revoke: bool,
    why: Why,
) -> Result<usize, RevokeError> {
    let tokens = context.vault.load_anew(subject).await?;
    let outcomes = join_all(tokens.iter().map(|token| end(context, token, revoke, why))).await;
    let mut revoked = true;
    for outcome in outcomes {
        revoked &= outcome?;
    }
    let grants = tokens.len();
    tracing::info!(target: log::GRANT, ?subject, grants, revoke, "disconnected");
    if revoked { Ok(grants) } else { Err(RevokeError::WebflowUnreachable) }
}

/// Removes a grant, and revokes it at Webflow if `revoke` is set. False if the revocation failed.
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

/// Removes the row and reports it. If the store's acknowledgement is lost or late, the grant is
/// reported, and revoked if `revoke` is set, once the row is known to be removed.
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

/// Calls `on_revoked`, once per grant.
pub fn report(context: &Context, token: &WebflowToken, why: Why) {
    context.hooks.revoked(&context.tasks, token, why);
}

/// Whether the row was removed although the removal failed, since its acknowledgement was lost.
async fn has_gone(context: &Arc<Context>, token: &WebflowToken) -> bool {
    let version = token.grant().version;
    let there = |tokens: &Tokens| tokens.iter().any(|token| token.grant().version == version);
    context.vault.load_anew(token.subject()).await.is_ok_and(|tokens| !there(&tokens))
}

/// Removes a grant in the background after a failed attempt, and reports it if `why` is given.
pub fn remove_later(context: &Arc<Context>, token: &WebflowToken, why: Option<Why>) {
    let (own, token) = (Arc::clone(context), token.clone());
    context.tasks.retry_later("removing a grant", move || {
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

/// Revokes a token at Webflow, now or in the background. Returns whether it is already revoked.
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

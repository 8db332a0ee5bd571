//! Lists the sites of grants again, since sites may be added to a workspace after a login.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::disconnect::remove_dead;
use crate::api::ApiError;
use crate::context::Context;
use crate::grant::scope::Scope;
use crate::grant::site_listings::LookupError;
use crate::grant::token::WebflowToken;
use crate::store::StoreError;
use crate::util::deadline::Deadline;
use crate::util::log;

/// How many listings run at the same time.
const MAX_CONCURRENT: usize = 8;

/// Calls `/v2/sites` for each of these grants, unless that was done recently. Returns within the
/// time limit of one call; listings still running then continue in the background.
pub async fn list_anew(context: &Arc<Context>, grants: &[WebflowToken]) -> Result<(), LookupError> {
    let deadline = Deadline::after(context.webflow.budget);
    let askable = |token: &&WebflowToken| token.scopes().contains(&Scope::SITES_READ);
    let grants: Vec<_> = grants.iter().filter(askable).cloned().collect();
    let listings = stream::iter(grants)
        .map(|token| {
            let own = Arc::clone(context);
            // Its own task, so that dropping one caller does not cancel the others.
            context.tasks.run(async move { share(&own, &token).await })
        })
        .buffer_unordered(MAX_CONCURRENT)
        .fold(Ok(()), async |all: Result<(), LookupError>, one| {
            all.and(one.unwrap_or_else(|gone| Err(StoreError::unavailable(gone).into())))
        });
    deadline.limit(listings).await.unwrap_or_else(|| Err(ApiError::Timeout.into()))
}

async fn share(context: &Arc<Context>, token: &WebflowToken) -> Result<(), LookupError> {
    let now = || context.clock.unix_millis();
    token.state().listings().share(now, Box::pin(list(context, token))).await
}

async fn list(context: &Arc<Context>, token: &WebflowToken) -> Result<(), LookupError> {
    let listed = match token.api().site_ids().await {
        Ok(listed) => listed,
        // Confirmed by introspection.
        Err(ApiError::Unauthorized { token, .. }) => {
            remove_dead(context, &token).await?;
            return Ok(());
        }
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            let subject = token.subject();
            tracing::warn!(target: log::GRANT, ?subject, error = cause, "the grant's sites could not be listed");
            return Err(error.into());
        }
    };
    let mut details = token.grant().details.clone();
    details.list_sites(listed.clone());
    if details.coverage == token.grant().details.coverage {
        return Ok(());
    }
    let updated = context.vault.amend(token, move |details| details.list_sites(listed)).await?;
    let subject = token.subject();
    tracing::info!(target: log::GRANT, ?subject, updated, "the sites of the grant have changed");
    Ok(())
}

//! Lists the sites of grants anew, since sites are added to a workspace after an install.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::revoke::remove_dead;
use crate::api::ApiError;
use crate::context::Context;
use crate::grant::listing::LookupError;
use crate::grant::scope::Scope;
use crate::grant::token::WebflowToken;
use crate::store::StoreError;
use crate::util::deadline::Deadline;
use crate::util::log;

/// How many grants are asked for at the same time.
const AT_ONCE: usize = 8;

/// Asks `/v2/sites` for each of these grants, unless that was done a moment ago. All of it ends
/// within the time of one call; what is still under way then goes on in the background.
pub async fn list_anew(context: &Arc<Context>, grants: &[WebflowToken]) -> Result<(), LookupError> {
    let deadline = Deadline::after(context.webflow.budget);
    let askable = |token: &&WebflowToken| token.scopes().contains(&Scope::SITES_READ);
    let grants: Vec<_> = grants.iter().filter(askable).cloned().collect();
    let listings = stream::iter(grants)
        .map(|token| {
            let own = Arc::clone(context);
            // A caller that leaves does not take the others' answer along.
            context.tasks.run(async move { share(&own, &token).await })
        })
        .buffer_unordered(AT_ONCE)
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
        // Confirmed by introspection: there is nothing to find by this grant.
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

//! Finds the grants that cover a site.

use std::sync::Arc;

use super::coverage::refresh;
use super::new_sites::list_anew;
use crate::context::Context;
use crate::grant::site_listings::LookupError;
use crate::grant::token::WebflowToken;
use crate::store::StoreError;
use crate::webflow::is_id;

/// The tokens that are not known to be dead. Looks up their missing details in the background.
pub fn live(context: &Arc<Context>, tokens: &[WebflowToken]) -> Vec<WebflowToken> {
    let live: Vec<_> = tokens.iter().filter(|token| !token.is_dead()).cloned().collect();
    refresh(context, &live);
    live
}

/// See [`tokens_for_site`](crate::WebflowAuthHandle::tokens_for_site).
pub async fn by_site(
    context: &Arc<Context>,
    site_id: &str,
) -> Result<Vec<WebflowToken>, StoreError> {
    if !is_id(site_id) {
        return Ok(Vec::new());
    }
    let tokens = context.vault.by_site(site_id).await?;
    Ok(live(context, &tokens))
}

/// See [`tokens_for_workspace`](crate::WebflowAuthHandle::tokens_for_workspace).
pub async fn by_workspace(
    context: &Arc<Context>,
    workspace_id: &str,
) -> Result<Vec<WebflowToken>, StoreError> {
    if !is_id(workspace_id) {
        return Ok(Vec::new());
    }
    let tokens = context.vault.by_workspace(workspace_id).await?;
    Ok(live(context, &tokens))
}

/// See [`tokens_for_site_in`](crate::WebflowAuthHandle::tokens_for_site_in).
pub async fn by_site_in(
    context: &Arc<Context>,
    site_id: &str,
    workspace_id: &str,
) -> Result<Vec<WebflowToken>, LookupError> {
    let tokens = by_site(context, site_id).await?;
    if !tokens.is_empty() || !is_id(site_id) {
        return Ok(tokens);
    }
    let grants = by_workspace(context, workspace_id).await?;
    if grants.is_empty() {
        return Ok(tokens);
    }
    let listed = list_anew(context, &grants).await;
    let tokens = by_site(context, site_id).await?;
    if tokens.is_empty() {
        listed?;
    }
    Ok(tokens)
}

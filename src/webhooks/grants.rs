//! Which grants cover the site of an event.

use crate::grant::token::WebflowToken;
use crate::handle::WebflowAuthHandle;
use crate::store::StoreError;

/// The grants that name the site, or else those of its whole workspace.
pub(super) async fn covering(
    handle: &WebflowAuthHandle,
    site_id: &str,
    workspace_id: Option<&str>,
) -> Result<Vec<WebflowToken>, StoreError> {
    let tokens = handle.tokens_for_site(site_id).await?;
    let Some(workspace_id) = workspace_id.filter(|_| tokens.is_empty()) else {
        return Ok(tokens);
    };
    let mut tokens = handle.tokens_for_workspace(workspace_id).await?;
    // A grant that names its sites does not cover others of the workspace.
    tokens.retain(|token| token.sites().is_empty());
    Ok(tokens)
}

//! Learning again what a grant covers: when the look-up at its callback failed, or when Webflow
//! has said that a scope is lacking.

use std::sync::Arc;

use tracing::Instrument;

use crate::WebflowToken;
use crate::cache::Tokens;
use crate::shared::Shared;
use crate::token::Coverage;

/// Looks up, in the background, what is out of date among these grants.
pub(crate) fn refresh(shared: &Arc<Shared>, tokens: &Tokens) {
    if !shared.introspect {
        return;
    }
    for token in tokens.iter().filter(|token| token.take_outdated()) {
        let (shared, token) = (Arc::clone(shared), token.clone());
        tokio::spawn(async move { look_up(&shared, &token).await }.in_current_span());
    }
}

async fn look_up(shared: &Shared, token: &WebflowToken) {
    let found = match shared.webflow.introspect(token.access_token()).await {
        Ok(found) => found,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::warn!(error, "the grant's sites are still not known");
        }
    };
    let mut details = token.grant().details.clone();
    if let Some(scopes) = found.scopes {
        details.scopes = scopes;
    }
    details.coverage = Some(Coverage {
        authorization_id: found.authorization_id,
        sites: found.sites,
        workspaces: found.workspaces,
    });
    match shared.vault.update(token, details).await {
        Ok(()) => tracing::info!(subject = ?token.subject(), "the grant was looked up"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was learned of the grant could not be stored");
        }
    }
}

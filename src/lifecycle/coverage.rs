//! Looks up what a grant covers: when the lookup at its callback failed, or when a response from
//! Webflow shows that it has changed.

use std::sync::Arc;

use crate::context::Context;
use crate::grant::token::{Coverage, WebflowToken};
use crate::util::log;
use crate::vault::cache::Tokens;

/// Looks up, in the background, what is out of date among these grants.
pub(crate) fn refresh(context: &Arc<Context>, tokens: &Tokens) {
    if !context.vault.introspect {
        return;
    }
    for token in tokens.iter() {
        if token.state().take_outdated(context.clock.unix_millis()) {
            let (own, token) = (Arc::clone(context), token.clone());
            context.tasks.spawn(async move { look_up(&own, &token).await });
        }
    }
}

async fn look_up(context: &Context, token: &WebflowToken) {
    let found = match context.webflow.introspect(token.access_token()).await {
        Ok(found) => found,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(target: log::GRANT, error, "the grant's sites are still unknown");
            return;
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
    match context.vault.update(token, &details).await {
        Ok(updated) => {
            token.state().looked_up(context.clock.unix_millis());
            let subject = token.subject();
            tracing::info!(target: log::GRANT, ?subject, updated, "looked up what the grant covers");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(target: log::GRANT, error, "could not store what the grant covers");
        }
    }
}

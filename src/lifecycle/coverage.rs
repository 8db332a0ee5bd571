//! Looks up what a grant covers and who authorized it: at the callback, and again if that failed or
//! a response of Webflow shows that it has changed.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::context::Context;
use crate::grant::details::{Coverage, GrantDetails, Sites};
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::util::deadline::Deadline;
use crate::util::log;
use crate::webflow::{CallError, Introspection, TokenLookupError};

/// The time limit for all lookups of one grant together.
pub const LOOKUPS: Duration = Duration::from_secs(5);

/// Looks up missing or outdated details of these grants in the background.
pub fn refresh(context: &Arc<Context>, tokens: &[WebflowToken]) {
    for token in tokens {
        if token.state().take_outdated(context.clock.unix_millis()) {
            let (own, token) = (Arc::clone(context), token.clone());
            context.tasks.spawn(async move { look_up(&own, &token).await });
        }
    }
}

/// Introspects the token. `None` on failure, or if the application has disabled introspection.
pub async fn introspect(
    context: &Context,
    token: &SecretString,
    deadline: Deadline,
) -> Option<Introspection> {
    if !context.vault.introspect {
        return None;
    }
    match answer(deadline.limit(context.webflow.introspect(token)).await) {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(
                target: log::GRANT, error = &error as &dyn Error,
                "the grant's sites are not known yet: introspection failed"
            );
            None
        }
    }
}

impl From<Introspection> for Coverage {
    fn from(found: Introspection) -> Self {
        Self {
            authorization_id: found.authorization_id,
            application_id: found.application.and_then(|application| application.id),
            sites: Sites::named(found.sites),
            workspaces: found.workspaces,
        }
    }
}

/// Details that introspection does not report.
#[derive(Default, Clone)]
pub struct Learned {
    sites: Option<Vec<String>>,
    user: Option<WebflowUser>,
}

impl Learned {
    pub fn add_to(self, details: &mut GrantDetails) {
        if let Some(sites) = self.sites {
            details.list_sites(sites);
        }
        if self.user.is_some() {
            details.user = self.user;
        }
    }
}

/// Looks up the sites and the user, if missing.
pub async fn look_up_missing(
    context: &Context,
    details: &GrantDetails,
    deadline: Deadline,
) -> Learned {
    let missing = details.missing(context.vault.introspect);
    let (webflow, token) = (&context.webflow, &details.access_token);
    let sites = async {
        if !missing.sites {
            return None;
        }
        let listed = answer(deadline.limit(webflow.sites(token)).await);
        listed
            .inspect_err(|error| {
                let error = error as &dyn Error;
                tracing::warn!(target: log::GRANT, error, "the grant's sites could not be listed");
            })
            .ok()
    };
    let user = async {
        if !missing.user {
            return None;
        }
        let user = answer(deadline.limit(webflow.user(token)).await);
        user.inspect_err(|error| {
            let error = error as &dyn Error;
            tracing::warn!(target: log::GRANT, error, "the grant's user is not known yet");
        })
        .ok()
    };
    let (sites, user) = tokio::join!(sites, user);
    Learned { sites, user }
}

fn answer<T>(answered: Option<Result<T, TokenLookupError>>) -> Result<T, TokenLookupError> {
    answered.unwrap_or_else(|| Err(CallError::Timeout.into()))
}

async fn look_up(context: &Context, token: &WebflowToken) {
    let deadline = Deadline::after(LOOKUPS);
    let mut details = token.grant().details.clone();
    let found = if details.coverage.is_none() || token.state().is_doubted() {
        introspect(context, token.access_token(), deadline).await
    } else {
        None
    };
    let introspected = found.is_some();
    let learn = move |details: &mut GrantDetails| {
        if let Some(mut found) = found.clone() {
            details.learn(found.scopes.take(), found.into());
        }
    };
    learn(&mut details);
    let learned = look_up_missing(context, &details, deadline).await;
    if !introspected && learned.sites.is_none() && learned.user.is_none() {
        return;
    }
    let added = learned.clone();
    added.add_to(&mut details);
    let amended = context.vault.amend(token, move |details| {
        learn(details);
        learned.add_to(details);
    });
    match amended.await {
        Ok(updated) => {
            if introspected {
                token.state().introspected();
            }
            if !details.missing(context.vault.introspect).any() && !token.state().is_doubted() {
                token.state().looked_up(context.clock.unix_millis());
            }
            let subject = token.subject();
            tracing::info!(target: log::GRANT, ?subject, updated, "looked up what the grant covers");
        }
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(target: log::GRANT, error, "could not store what the grant covers");
        }
    }
}

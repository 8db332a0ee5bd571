//! Takes over a token that was obtained without this crate.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::coverage::{LOOKUPS, ask};
use super::list::grants;
use super::revoke::report;
use crate::api::ApiError;
use crate::context::Context;
use crate::context::handle::WebflowAuthHandle;
use crate::grant::details::GrantDetails;
use crate::grant::policy::GrantPolicy;
use crate::grant::token::WebflowToken;
use crate::hooks::Why;
use crate::identity::subject::Subject;
use crate::store::{GrantId, StoreError, TokenKey};
use crate::util::deadline::Deadline;
use crate::util::log;
use crate::webflow::Introspection;

/// Why a token was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Webflow issued the token to another app.
    #[error("the token belongs to another app")]
    OtherApp,
    /// The token was created in a site's or workspace's settings, not by an app's OAuth flow.
    #[error("the token is a site token, not one of an app")]
    SiteToken,
    /// Webflow does not accept the token.
    #[error("Webflow does not accept the token")]
    Dead,
    /// Which application the token must belong to is not known yet.
    #[error(
        "the app's application ID is not known: set application_id (WEBFLOW_APP_ID), or let one \
         user connect first"
    )]
    ApplicationUnknown,
    /// Webflow could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The store could not be used, or the subject is invalid.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many stored grants are searched for the application's ID.
const SEARCHED: usize = 1000;

impl WebflowAuthHandle {
    /// Stores a token that this app obtained before it used this crate.
    ///
    /// The token is introspected: it must belong to this app and must not be a site token. Which app
    /// that is says [`application_id`](crate::config::WebflowAuthBuilder::application_id), or a
    /// grant that came by a login. Then the grant is stored as after a login: sealed, and found by
    /// its sites and workspaces. No hook runs, and the user notices nothing.
    ///
    /// Importing the same token for the same subject again changes nothing. With
    /// [`GrantPolicy::Single`] the import replaces the subject's grant, which is not revoked at
    /// Webflow.
    ///
    /// An import costs one to three calls to Webflow, which count against the token's rate limit and
    /// not against a common one. Pace a long run all the same.
    ///
    /// ```no_run
    /// use tower_webflow_auth::{ImportError, SecretString, Subject, WebflowAuthHandle};
    ///
    /// async fn import(handle: &WebflowAuthHandle, user: u64, token: String) -> Result<(), ImportError> {
    ///     match handle.import(&Subject::user(user), SecretString::from(token)).await {
    ///         // The user has removed the app: they connect again when they come back.
    ///         Ok(_) | Err(ImportError::Dead) => Ok(()),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ImportError`]; nothing is stored then.
    ///
    /// # Cancel safety
    /// A dropped future has stored the grant or nothing.
    pub async fn import(
        &self,
        subject: &Subject,
        token: impl Into<SecretString>,
    ) -> Result<WebflowToken, ImportError> {
        let (context, token) = (&self.context, token.into());
        let subject = context.vault.public(subject);
        subject.validate().map_err(StoreError::from)?;
        let client = &context.vault.client;
        let found = client.introspect(&token).await?.ok_or(ImportError::Dead)?;
        check_application(context, &found).await?;
        let present = context.vault.load_anew(&subject).await?;
        if let Some(same) = present.iter().find(|it| is_same(it.access_token(), &token)) {
            return Ok(same.for_job());
        }
        let key = TokenKey::new(subject.into_owned(), grant_id(context, &found, &token));
        let mut details = details(context, found, token);
        ask(context, &details, Deadline::after(LOOKUPS)).await.add_to(&mut details);
        let former = present.iter().find(|it| it.grant().key == key);
        let draft = context.vault.draft(key, details)?;
        context.vault.save(&draft).await?;
        if let Some(former) = former {
            report(context, former, Why::Replaced);
        }
        let token = draft.token().for_job();
        tracing::info!(target: log::GRANT, subject = ?token.subject(), "grant imported");
        Ok(token)
    }
}

async fn check_application(
    context: &Arc<Context>,
    found: &Introspection,
) -> Result<(), ImportError> {
    let told = found.application.as_ref().ok_or(ImportError::SiteToken)?;
    let known = match context.application.known() {
        Some(known) => known,
        None => search(context).await?.ok_or(ImportError::ApplicationUnknown)?,
    };
    if told.id.as_ref() == Some(&known) { Ok(()) } else { Err(ImportError::OtherApp) }
}

/// Looks for a stored grant that came by an exchange and names its application.
async fn search(context: &Arc<Context>) -> Result<Option<String>, StoreError> {
    let mut grants = pin!(grants(context, None).take(SEARCHED));
    while let Some(token) = grants.next().await {
        let token = match token {
            Ok(token) => token,
            Err(StoreError::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let details = &token.grant().details;
        let told = details.coverage.as_ref().and_then(|it| it.application_id.as_deref());
        if told.is_some() && !details.flows.is_empty() {
            context.application.learn(told);
            return Ok(told.map(str::to_owned));
        }
    }
    Ok(None)
}

fn is_same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret().as_bytes().ct_eq(b.expose_secret().as_bytes()).into()
}

/// The authorization's ID at Webflow, or one that the token alone decides.
fn grant_id(context: &Context, found: &Introspection, token: &SecretString) -> GrantId {
    if context.vault.grants == GrantPolicy::Single {
        return GrantId::default();
    }
    let of_token = || {
        let digest = Sha256::digest(token.expose_secret());
        let (id, _) = digest.split_at(12);
        format!("import-{}", URL_SAFE_NO_PAD.encode(id))
    };
    GrantId::new(found.authorization_id.clone().unwrap_or_else(of_token))
}

fn details(context: &Context, mut found: Introspection, token: SecretString) -> GrantDetails {
    let scopes = found.scopes.take().unwrap_or_default();
    GrantDetails {
        access_token: token,
        scopes: scopes.clone(),
        obtained_at: UNIX_EPOCH + Duration::from_secs(context.clock.unix_secs()),
        coverage: Some(found.into()),
        user: None,
        extra: None,
        flows: Vec::new(),
        asked: scopes,
        renewed: false,
    }
}

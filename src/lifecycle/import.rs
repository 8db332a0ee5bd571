//! Imports tokens that were obtained without this crate.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::coverage::{LOOKUPS, look_up_missing};
use super::disconnect::report;
use super::list::grants;
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
    #[error("the token is a site token, not an app's token")]
    SiteToken,
    /// Webflow does not accept the token.
    #[error("Webflow does not accept the token")]
    Dead,
    /// The app's ID at Webflow, which the token must carry, is not known yet.
    #[error(
        "the app's application ID is not known: set application_id (WEBFLOW_APP_ID), or let one \
         user connect first"
    )]
    ApplicationUnknown,
    /// The call to Webflow failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The store could not be used, or the subject is invalid.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many stored grants are searched for the application's ID.
const MAX_SEARCHED: usize = 1000;

impl WebflowAuthHandle {
    /// Stores a token that this app obtained before it used this crate.
    ///
    /// The token is introspected first: it must belong to this app and must not be a site token.
    /// The app is identified by
    /// [`application_id`](crate::config::WebflowAuthBuilder::application_id), or by a grant from an
    /// earlier login. The grant is then stored as after a login: encrypted, and indexed by its
    /// sites and workspaces. `on_authorized` does not run.
    ///
    /// Importing the same token for the same subject twice has no further effect. With
    /// [`GrantPolicy::Single`] the import replaces the subject's grant: `on_revoked` runs, but the
    /// old grant is not revoked at Webflow.
    ///
    /// An import makes one to three calls to Webflow. They count against the rate limit of that
    /// token alone, but a long run should be paced all the same.
    ///
    /// ```no_run
    /// use tower_webflow_auth::{ImportError, SecretString, Subject, WebflowAuthHandle};
    ///
    /// async fn import(handle: &WebflowAuthHandle, user: u64, token: String) -> Result<(), ImportError> {
    ///     match handle.import(&Subject::user(user), SecretString::from(token)).await {
    ///         // The user has removed the app, and can connect again.
    ///         Ok(_) | Err(ImportError::Dead) => Ok(()),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ImportError`]. Nothing was stored.
    ///
    /// # Cancel safety
    /// If the future is dropped, the grant is either stored or not.
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
        let learned = look_up_missing(context, &details, Deadline::after(LOOKUPS)).await;
        learned.add_to(&mut details);
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

/// Searches for a stored grant that came from a login and names its application.
async fn search(context: &Arc<Context>) -> Result<Option<String>, StoreError> {
    let mut grants = pin!(grants(context, None).take(MAX_SEARCHED));
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

/// Webflow's authorization ID, or an ID derived from the token.
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

//! Tokens outside a request: for jobs and webhooks.

use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use tokio::time::Instant;

use crate::api::{ApiError, ResolvedUser, deadline};
use crate::context::handle::WebflowAuthHandle;
use crate::grant::listing::LookupError;
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::identity::subject::Subject;
use crate::lifecycle::coverage::refresh;
use crate::lifecycle::listing::list_anew;
use crate::lifecycle::revoke::{RevokeError, disconnect, disconnect_one, remove_dead};
use crate::middleware::WebflowAuthLayer;
use crate::store::StoreError;
use crate::util::log;
use crate::vault::cache::Tokens;
use crate::webflow::is_id;

/// Why an ID token could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// No stored grant is known to cover the site, or Webflow rejects the tokens of all that do. Its
    /// users have not connected Webflow or have removed the app, or the site was added to their
    /// workspace later.
    #[error("no grant covers the site")]
    NoGrant,
    /// Webflow rejects the ID token, or the token was issued for another site.
    #[error("the ID token is not accepted for this site")]
    Refused,
    /// Every grant of the site lacks the scope `authorized_user:read`.
    #[error("no grant of the site has the scope authorized_user:read")]
    MissingScope,
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Webflow could not be reached, or its response is unusable.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl WebflowAuthLayer {
    /// Tokens outside a request: for jobs and webhooks.
    pub fn handle(&self) -> WebflowAuthHandle {
        WebflowAuthHandle::new(Arc::clone(self.context()))
    }
}

impl WebflowAuthHandle {
    async fn load(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        let vault = &self.context.vault;
        vault.load(&vault.public(subject)).await
    }

    /// The subject's newest token; `None` when it has none.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn token(&self, subject: &Subject) -> Result<Option<WebflowToken>, StoreError> {
        Ok(self.tokens(subject).await?.into_iter().next())
    }

    /// Every token of the subject, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn tokens(&self, subject: &Subject) -> Result<Vec<WebflowToken>, StoreError> {
        let tokens = self.load(subject).await?;
        Ok(self.live(&tokens))
    }

    /// Every token whose grant covers the site, newest first.
    ///
    /// A grant of a whole workspace is among them if it has the scope `sites:read`, with the sites
    /// that the workspace had when the grant was given.
    /// [`tokens_for_site_in`](Self::tokens_for_site_in) also finds it for sites that were added
    /// later.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no lookup by site.
    pub async fn tokens_for_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        if !is_id(site_id) {
            return Ok(Vec::new());
        }
        let tokens = self.context.vault.by_site(site_id).await?;
        Ok(self.live(&tokens))
    }

    /// Every token whose grant covers the site, newest first; the site may be new in its workspace.
    ///
    /// When no grant is known to cover the site, Webflow is asked which sites the grants of the
    /// workspace cover now (`GET /v2/sites`, scope `sites:read`). The response is stored with the
    /// grant. Webflow is asked at most once a minute for each grant, whatever site IDs are given,
    /// and 10 seconds after a failure at the earliest; callers at the same time share the request.
    /// The limit counts within one process. A workspace that no grant has costs no request.
    ///
    /// The workspace ID only says where to look: a grant that covers the site is found whatever
    /// workspace ID is given. Both IDs may come from a webhook or a Designer Extension.
    ///
    /// # Errors
    /// [`LookupError::Store`] when the store cannot be used, or has no lookup by site and by
    /// workspace. [`LookupError::Webflow`] when no grant is found and Webflow could not be asked for
    /// one of them: that is no proof that there is none.
    ///
    /// # Cancel safety
    /// A request to Webflow that has begun goes on when this future is dropped, and its result is
    /// stored.
    pub async fn tokens_for_site_in(
        &self,
        site_id: &str,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, LookupError> {
        let tokens = self.tokens_for_site(site_id).await?;
        if !tokens.is_empty() || !is_id(site_id) {
            return Ok(tokens);
        }
        let grants = self.tokens_for_workspace(workspace_id).await?;
        if grants.is_empty() {
            return Ok(tokens);
        }
        let listed = list_anew(&self.context, &grants).await;
        let tokens = self.tokens_for_site(site_id).await?;
        if tokens.is_empty() {
            listed?;
        }
        Ok(tokens)
    }

    /// The user of an ID token.
    ///
    /// A Designer Extension gets one from `webflow.getIdToken()` (valid 15 minutes) and sends it to
    /// its backend together with the site's ID. The backend asks Webflow with up to four grants of
    /// that site, newest first, until one resolves the ID token. The grants need the scope
    /// `authorized_user:read`. A grant whose token Webflow rejects is removed. The whole takes no
    /// longer than the builder's [`timeout`](crate::config::WebflowAuthBuilder::timeout).
    ///
    /// The grants are those of [`tokens_for_site`](Self::tokens_for_site), so a grant of a whole
    /// workspace needs the scope `sites:read` as well. Source: Webflow, *Hybrid Apps*.
    ///
    /// # Errors
    /// [`IdTokenError`].
    ///
    /// # Security
    /// The client could send the ID of any site. Webflow's response names the site that the ID token
    /// was issued for; if it is another one, the error is [`IdTokenError::Refused`].
    pub async fn resolve_id_token(
        &self,
        site_id: &str,
        id_token: &str,
    ) -> Result<WebflowUser, IdTokenError> {
        if !is_id_token(id_token) {
            return Err(IdTokenError::Refused);
        }
        let tokens = self.tokens_for_site(site_id).await?;
        let deadline = deadline(self.context.webflow.budget);
        let mut failures = Failures::default();
        for token in tokens.iter().filter(|token| !token.is_dead()).take(MAX_GRANTS) {
            let error = match resolve(token, id_token, deadline).await {
                Ok(resolved) => return accept(resolved, site_id),
                Err(error) => unresolved(token, error),
            };
            if let ApiError::Unauthorized { token, .. } = &error {
                remove_dead(&self.context, token).await?;
            }
            failures.note(error);
        }
        Err(failures.into_error())
    }

    /// Every token whose grant names the workspace, newest first.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store has no lookup by workspace.
    pub async fn tokens_for_workspace(
        &self,
        workspace_id: &str,
    ) -> Result<Vec<WebflowToken>, StoreError> {
        if !is_id(workspace_id) {
            return Ok(Vec::new());
        }
        let tokens = self.context.vault.by_workspace(workspace_id).await?;
        Ok(self.live(&tokens))
    }

    /// The tokens that are not known to be dead. What is missing of them is looked up in the
    /// background.
    fn live(&self, tokens: &[WebflowToken]) -> Vec<WebflowToken> {
        let live: Vec<_> = tokens.iter().filter(|token| !token.is_dead()).cloned().collect();
        refresh(&self.context, &live);
        live.iter().map(WebflowToken::for_job).collect()
    }

    /// Revokes every grant of the subject at Webflow and removes it. Tells how many there were.
    ///
    /// # Errors
    /// [`RevokeError::Store`] when the store cannot be used; [`RevokeError::WebflowUnreachable`]
    /// when the grants are gone here but Webflow could not be told.
    ///
    /// # Cancel safety
    /// Once it is polled, it comes to its end also when this future is dropped: no grant is revoked
    /// and still served.
    pub async fn revoke(&self, subject: &Subject) -> Result<usize, RevokeError> {
        disconnect(&self.context, &self.context.vault.public(subject), true).await
    }

    /// Revokes one grant at Webflow and removes it; the subject's others stay.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke), and so is its cancel safety.
    pub async fn revoke_grant(&self, grant: &WebflowToken) -> Result<(), RevokeError> {
        disconnect_one(&self.context, grant).await
    }

    /// Removes every grant of this app whose token was obtained longer ago than `age`, whether it is
    /// in use or not, without telling Webflow. Returns how many there were.
    ///
    /// In a store that cannot list its rows, the grants of every app that shares it are removed.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unsupported`] when the store can neither list nor purge.
    pub async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        self.context.vault.purge_older_than(age).await
    }

    /// Whether the store can be used right now, for a health check.
    ///
    /// # Errors
    /// The [`StoreError`] that a lookup would meet.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.context.vault.healthy().await
    }
}

/// How many grants are tried for one ID token.
const MAX_GRANTS: usize = 4;

/// Covers JWTs. Webflow documents no format.
fn is_id_token(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
    (1..=8192).contains(&text.len()) && text.bytes().all(known)
}

async fn resolve(
    token: &WebflowToken,
    id_token: &str,
    deadline: Instant,
) -> Result<ResolvedUser, ApiError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let body = serde_json::json!({ "idToken": id_token });
    let request = token.api().post("/beta/token/resolve").json(&body);
    request.timeout(left).repeatable().send().await?.json().await
}

fn unresolved(token: &WebflowToken, error: ApiError) -> ApiError {
    let cause = &error as &dyn std::error::Error;
    tracing::info!(target: log::API, grant = %token.grant_id(), error = cause, "an ID token was not resolved");
    error
}

/// The user, unless the ID token was issued for another site.
fn accept(resolved: ResolvedUser, site_id: &str) -> Result<WebflowUser, IdTokenError> {
    // Webflow may omit the site. The grant that was used covers the claimed one.
    if resolved.site_id.is_some_and(|id| id != site_id) {
        tracing::warn!(target: log::API, "an ID token of another site was refused");
        return Err(IdTokenError::Refused);
    }
    if resolved.user.id.as_ref().is_none_or(String::is_empty) {
        let error = serde_json::Error::custom("the user has no id");
        return Err(ApiError::Decode(error).into());
    }
    Ok(resolved.user)
}

/// Why no grant has resolved an ID token.
#[derive(Default)]
struct Failures {
    refused: bool,
    missing_scope: bool,
    other: Option<ApiError>,
}

impl Failures {
    fn note(&mut self, error: ApiError) {
        match &error {
            ApiError::Unauthorized { .. } => {}
            ApiError::Forbidden { body, .. } if body.code == "missing_scopes" => {
                self.missing_scope = true;
            }
            ApiError::NoAccess { .. } | ApiError::Forbidden { .. } => self.refused = true,
            ApiError::Status { status, .. } if matches!(status.as_u16(), 400 | 404) => {
                self.refused = true;
            }
            _ => self.other = self.other.take().or(Some(error)),
        }
    }

    fn into_error(self) -> IdTokenError {
        match self {
            Self { refused: true, .. } => IdTokenError::Refused,
            Self { other: Some(error), .. } => error.into(),
            Self { missing_scope: true, .. } => IdTokenError::MissingScope,
            Self { .. } => IdTokenError::NoGrant,
        }
    }
}

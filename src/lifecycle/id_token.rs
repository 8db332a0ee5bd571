//! Resolves the ID token of a Designer Extension (Webflow, *Hybrid Apps*).

use std::sync::Arc;

use serde::de::Error as _;
use tokio::time::Instant;

use super::disconnect::remove_dead;
use crate::api::{ApiError, ResolvedUser, deadline};
use crate::context::Context;
use crate::grant::scope::Scope;
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::store::StoreError;
use crate::util::log;

/// How many grants are tried for one ID token.
const MAX_GRANTS: usize = 4;

/// Why an ID token could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// No stored grant is known to cover the site, or Webflow rejects the tokens of all that do.
    /// The site's users have not connected Webflow, have removed the app, or have added the site to
    /// their workspace after the login.
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

/// The user of an ID token, and the grant that resolved it.
pub struct Resolved {
    pub user: WebflowUser,
    #[cfg_attr(not(feature = "panels"), expect(dead_code, reason = "panels are bound to it"))]
    pub token: WebflowToken,
}

/// Covers JWTs. Webflow documents no format.
pub fn is_id_token(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
    (1..=8192).contains(&text.len()) && text.bytes().all(known)
}

/// Tries the grants of the site, newest first, until one resolves the ID token at Webflow. Removes
/// grants whose tokens turn out to be dead.
pub async fn resolve(
    context: &Arc<Context>,
    grants: &[WebflowToken],
    site_id: &str,
    id_token: &str,
) -> Result<Resolved, IdTokenError> {
    let deadline = deadline(context.webflow.budget);
    let mut failures = Failures::default();
    let (able, unable): (Vec<_>, Vec<_>) = grants
        .iter()
        .filter(|token| !token.is_dead())
        .partition(|token| token.scopes().contains(&Scope::AUTHORIZED_USER_READ));
    failures.missing_scope = !unable.is_empty();
    for token in able.into_iter().take(MAX_GRANTS) {
        let error = match ask(token, id_token, deadline).await {
            Ok(resolved) => {
                let user = accept(resolved, site_id)?;
                return Ok(Resolved { user, token: token.clone() });
            }
            Err(error) => error,
        };
        log_failure(token, &error);
        if let ApiError::Unauthorized { token, .. } = &error {
            remove_dead(context, token).await?;
        }
        failures.note(error);
    }
    Err(failures.into_error())
}

fn log_failure(token: &WebflowToken, error: &ApiError) {
    let (grant, error) = (token.grant_id(), error as &dyn std::error::Error);
    tracing::info!(target: log::API, %grant, error, "an ID token was not resolved");
}

async fn ask(
    token: &WebflowToken,
    id_token: &str,
    deadline: Instant,
) -> Result<ResolvedUser, ApiError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let body = serde_json::json!({ "idToken": id_token });
    let request = token.api().post("/beta/token/resolve").json(&body);
    request.timeout(left).repeatable().send().await?.json().await
}

/// The user, unless the ID token was issued for another site.
fn accept(resolved: ResolvedUser, site_id: &str) -> Result<WebflowUser, IdTokenError> {
    // If Webflow omits the site, the grant that was used covers the claimed one.
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

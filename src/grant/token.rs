//! The token that handlers use.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;

use super::scope::Scopes;
use super::state::TokenState;
use crate::api::{ApiClient, WebflowApi};
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenKey, TokenVersion};

/// An access token for Webflow's Data API, with details of its grant.
///
/// An extractor behind [`WebflowAuthLayer`](crate::WebflowAuthLayer). Use `Option<WebflowToken>` on
/// routes behind [`optional`](crate::WebflowAuthLayer::optional). Cloning increments one reference
/// count. `Debug` prints no secret.
///
/// ```no_run
/// use axum::Json;
/// use serde_json::Value;
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
///     Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
/// }
/// ```
#[derive(Clone)]
pub struct WebflowToken(Arc<Grant>);

/// A stored grant: the user's consent and its token.
pub(crate) struct Grant {
    pub(crate) key: TokenKey,
    pub(crate) version: TokenVersion,
    pub(crate) details: GrantDetails,
    /// Whether the configured scopes include some that the user was not asked for.
    pub(crate) lacks_configured: bool,
    /// State of this token version, shared by every copy of it.
    pub(crate) state: Arc<TokenState>,
    pub(crate) client: Arc<ApiClient>,
}

/// The encrypted part of a grant.
#[derive(Clone)]
pub(crate) struct GrantDetails {
    pub(crate) access_token: SecretString,
    pub(crate) scopes: Scopes,
    pub(crate) obtained_at: SystemTime,
    /// What the token covers; `None` until an introspection has succeeded.
    pub(crate) coverage: Option<Coverage>,
    /// IDs of the flows that led to this grant, newest last, to recognize a repeated callback.
    pub(crate) flows: Vec<String>,
    /// The scopes that were requested. One that is here but not in `scopes` was declined by the
    /// user.
    pub(crate) asked: Scopes,
    /// Whether this grant was requested because its predecessor's token was dead.
    pub(crate) renewed: bool,
}

/// What a token covers, according to introspection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) authorization_id: Option<String>,
    pub(crate) sites: Vec<String>,
    pub(crate) workspaces: Vec<String>,
}

impl WebflowToken {
    pub(crate) fn new(grant: Grant) -> Self {
        Self(Arc::new(grant))
    }

    /// Returns the access token, for your own HTTP client:
    /// `client.bearer_auth(token.access_token().expose_secret())`, with
    /// [`ExposeSecret`](crate::ExposeSecret) in scope.
    ///
    /// # Security
    /// Whoever has the token can do what [`scopes`](Self::scopes) allow on the user's sites. The
    /// type never prints it; do not log the result of `expose_secret`.
    pub fn access_token(&self) -> &SecretString {
        &self.0.details.access_token
    }

    /// Returns the scopes that the user granted, which may be fewer than requested.
    pub fn scopes(&self) -> &Scopes {
        &self.0.details.scopes
    }

    /// Returns the subject that the token belongs to.
    pub fn subject(&self) -> &Subject {
        self.0.key.subject()
    }

    /// Returns when Webflow issued the token, in whole seconds.
    pub fn obtained_at(&self) -> SystemTime {
        self.0.details.obtained_at
    }

    /// Returns the IDs of the sites that the token covers. Empty if it covers whole workspaces, or
    /// if introspection has not succeeded yet.
    pub fn sites(&self) -> &[String] {
        self.0.details.coverage.as_ref().map_or(&[], |coverage| &coverage.sites)
    }

    /// Returns the IDs of the workspaces that the token covers. Empty as for
    /// [`sites`](Self::sites).
    pub fn workspaces(&self) -> &[String] {
        self.0.details.coverage.as_ref().map_or(&[], |coverage| &coverage.workspaces)
    }

    /// Returns the ID of this grant among its subject's grants.
    pub fn grant_id(&self) -> &GrantId {
        self.0.key.grant()
    }

    /// Returns the ID of the authorization at Webflow, if known from introspection.
    pub fn authorization_id(&self) -> Option<&str> {
        self.0.details.coverage.as_ref()?.authorization_id.as_deref()
    }

    /// Reports that Webflow no longer accepts this token.
    ///
    /// When the result is returned from a handler or put into the response's extensions, the layer
    /// removes exactly this version of the token and sends the user through consent again.
    /// Returning [`ApiError::Unauthorized`](crate::api::ApiError::Unauthorized) does the same.
    ///
    /// A 401 from your own HTTP client does not prove that the token is dead, because Webflow also
    /// answers 401 if a token has no access. Confirm it first:
    /// [`introspect`](crate::api::WebflowApi::introspect) must fail with `Unauthorized` too.
    pub fn reauthorize(&self) -> Reauthorize {
        self.state().mark_dead();
        Reauthorize(self.clone())
    }

    /// Returns a client for Webflow's Data API that uses this token.
    pub fn api(&self) -> WebflowApi {
        WebflowApi::new(self.clone())
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.0
    }

    pub(crate) fn client(&self) -> &Arc<ApiClient> {
        &self.0.client
    }

    /// Whether the layer with this client issued the token.
    pub(crate) fn belongs_to(&self, client: &Arc<ApiClient>) -> bool {
        Arc::ptr_eq(&self.0.client, client)
    }

    pub(crate) fn state(&self) -> &TokenState {
        &self.0.state
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.state.is_dead()
    }
}

impl fmt::Debug for WebflowToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowToken")
            .field("subject", self.subject())
            .field("scopes", &self.scopes().to_string())
            .field("version", &self.0.version)
            .field("sites", &self.sites())
            .finish_non_exhaustive()
    }
}

/// Tells the layer to drop the current token and send the user through consent again.
///
/// Created by [`WebflowToken::reauthorize`]. It is an axum response; with other frameworks, put it
/// into the extensions of any response.
///
/// ```no_run
/// use axum::response::{IntoResponse, Response};
/// use tower_webflow_auth::WebflowToken;
///
/// async fn sites(token: WebflowToken) -> Response {
///     let refused = true; // according to your own HTTP client
///     if refused { token.reauthorize().into_response() } else { "fine".into_response() }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Reauthorize(pub(crate) WebflowToken);

/// Every grant of the request's subject, newest first.
///
/// An extractor. Works behind any layer; empty when an
/// [`optional`](crate::WebflowAuthLayer::optional) layer let in a request without a grant. With
/// [`GrantPolicy::Single`](crate::GrantPolicy::Single) there is at most one.
///
/// ```no_run
/// use tower_webflow_auth::WebflowGrants;
///
/// async fn workspaces(grants: WebflowGrants) -> String {
///     grants.iter().flat_map(|grant| grant.workspaces()).cloned().collect::<Vec<_>>().join(", ")
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct WebflowGrants(pub(crate) Arc<[WebflowToken]>);

impl std::ops::Deref for WebflowGrants {
    type Target = [WebflowToken];

    fn deref(&self) -> &[WebflowToken] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a WebflowGrants {
    type Item = &'a WebflowToken;
    type IntoIter = std::slice::Iter<'a, WebflowToken>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

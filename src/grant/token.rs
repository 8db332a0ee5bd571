//! The token that handlers get.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;

use super::details::GrantDetails;
use super::scope::Scopes;
use super::state::TokenState;
use super::user::WebflowUser;
use crate::api::{ApiClient, WebflowApi};
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenKey, TokenVersion};

/// An access token for Webflow's Data API, with what is known of its grant.
///
/// Behind [`WebflowAuthLayer`](crate::WebflowAuthLayer) every handler can take it as an argument;
/// `Option<WebflowToken>` is for routes behind
/// [`optional`](crate::WebflowAuthLayer::optional). Cloning costs one reference count; `Debug`
/// shows no secret.
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
pub struct WebflowToken(Arc<Grant>, Whose);

/// Who removes the grant when a call finds its token dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The layer, which also asks the user for a new one.
    Request,
    /// Nobody but the call itself.
    Job,
}

/// What the user allowed.
pub struct Grant {
    pub key: TokenKey,
    pub version: TokenVersion,
    pub details: GrantDetails,
    /// Whether the application's configured scopes go beyond those that the user was asked for.
    pub lacks_configured: bool,
    /// What is known of this version, shared with everybody who has read it.
    pub state: Arc<TokenState>,
    pub client: Arc<ApiClient>,
}

impl WebflowToken {
    pub(crate) fn new(grant: Grant) -> Self {
        Self(Arc::new(grant), Whose::Request)
    }

    /// The access token itself, for a client of your own:
    /// `client.bearer_auth(token.access_token().expose_secret())`, with
    /// [`ExposeSecret`](crate::ExposeSecret) in scope.
    ///
    /// # Security
    /// Whoever has it can do with the user's sites what [`scopes`](Self::scopes) allow. The type
    /// prints nothing by itself; do not log what `expose_secret` gives.
    pub fn access_token(&self) -> &SecretString {
        &self.0.details.access_token
    }

    /// What the user allowed; may be less than was asked for.
    pub fn scopes(&self) -> &Scopes {
        &self.0.details.scopes
    }

    /// Whose token it is.
    pub fn subject(&self) -> &Subject {
        self.0.key.subject()
    }

    /// When Webflow issued it, in whole seconds.
    pub fn obtained_at(&self) -> SystemTime {
        self.0.details.obtained_at
    }

    /// The ids of the sites that it covers, as far as they are known.
    ///
    /// Where the grant covers a whole workspace they are those of `GET /v2/sites`, which needs the
    /// scope `sites:read`; without it there are none. They are also empty while Webflow could not be
    /// asked: the requests that follow ask again. A site that was added to the workspace since is
    /// found by
    /// [`tokens_for_site_in`](crate::WebflowAuthHandle::tokens_for_site_in).
    pub fn sites(&self) -> &[String] {
        self.0.details.sites()
    }

    /// Whether the grant covers the site, by what is known: one of [`sites`](Self::sites).
    pub fn covers_site(&self, site_id: &str) -> bool {
        self.sites().iter().any(|id| id == site_id)
    }

    /// The ids of the workspaces that it covers; empty when Webflow names none, or could not be
    /// asked yet.
    pub fn workspaces(&self) -> &[String] {
        self.0.details.workspaces()
    }

    /// Who gave the grant.
    ///
    /// `None` without the scope `authorized_user:read`, and while Webflow could not be asked: the
    /// requests that follow ask again. Whether the email address is verified, Webflow does not say.
    pub fn user(&self) -> Option<&WebflowUser> {
        self.0.details.user.as_ref()
    }

    /// The name of this grant among its subject's; tells several apart.
    pub fn grant_id(&self) -> &GrantId {
        self.0.key.grant()
    }

    /// The id of the authorization at Webflow, if introspection told it.
    pub fn authorization_id(&self) -> Option<&str> {
        self.0.details.coverage.as_ref()?.authorization_id.as_deref()
    }

    /// Tells the layer that Webflow does not accept this token any more.
    ///
    /// Returned from a handler, or put into the extensions of its response, it makes the layer
    /// forget exactly this token and ask the user for a new one. Returning
    /// [`ApiError::Unauthorized`](crate::api::ApiError::Unauthorized) does the same.
    ///
    /// A 401 that a client of your own meets is no proof: Webflow answers 401 as well where a token
    /// has no access. Only when [`introspect`](crate::api::WebflowApi::introspect) ends in
    /// `Unauthorized` too, the token is dead.
    pub fn reauthorize(&self) -> Reauthorize {
        self.state().mark_dead();
        Reauthorize(self.clone())
    }

    /// Calls to Webflow's Data API with this token.
    pub fn api(&self) -> WebflowApi {
        WebflowApi::new(self.clone())
    }

    /// The same token for use outside of a request: its confirmed death removes the grant.
    pub(crate) fn for_job(&self) -> Self {
        Self(Arc::clone(&self.0), Whose::Job)
    }

    pub(crate) fn is_for_job(&self) -> bool {
        self.1 == Whose::Job
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.0
    }

    pub(crate) fn client(&self) -> &Arc<ApiClient> {
        &self.0.client
    }

    /// Whether it was issued by way of the layer that has this client.
    pub(crate) fn is_of(&self, client: &Arc<ApiClient>) -> bool {
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

/// A response's wish that its token be forgotten and the user asked for a new one.
///
/// Made by [`WebflowToken::reauthorize`]. With axum it is a response by itself; elsewhere it goes
/// into the extensions of any response.
///
/// ```no_run
/// use axum::response::{IntoResponse, Response};
/// use tower_webflow_auth::WebflowToken;
///
/// async fn sites(token: WebflowToken) -> Response {
///     let refused = true; // by a client of one's own
///     if refused { token.reauthorize().into_response() } else { "fine".into_response() }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Reauthorize(pub(crate) WebflowToken);

/// Every grant of the request's subject, newest first.
///
/// As an argument of a handler it is there behind every layer, and empty where
/// [`optional`](crate::WebflowAuthLayer::optional) let a request in that has none. With
/// [`GrantPolicy::Single`](crate::GrantPolicy::Single) there is one at most.
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

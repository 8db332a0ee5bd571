//! The token that handlers use.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use percent_encoding::utf8_percent_encode;
use secrecy::SecretString;

use super::details::GrantDetails;
use super::scope::Scopes;
use super::state::TokenState;
use super::user::WebflowUser;
use crate::api::{ApiClient, SiteInfo, WebflowApi};
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenKey, TokenVersion};
use crate::wire::paths::{COMPONENT, is_label};

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
pub struct WebflowToken(Arc<Grant>, Whose);

/// Who removes the grant when a call finds its token dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The layer, which also asks the user for a new one.
    Request,
    /// The call itself.
    Job,
}

/// A stored grant: the user's consent and its token.
pub struct Grant {
    pub key: TokenKey,
    pub version: TokenVersion,
    pub details: GrantDetails,
    /// Whether the configured scopes include some that the user was not asked for.
    pub lacks_configured: bool,
    /// State of this token version, shared by every copy of it.
    pub state: Arc<TokenState>,
    pub client: Arc<ApiClient>,
}

impl WebflowToken {
    pub(crate) fn new(grant: Grant) -> Self {
        Self(Arc::new(grant), Whose::Request)
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

    /// Returns the IDs of the sites that the token covers, as far as they are known.
    ///
    /// If the grant covers a whole workspace, they come from `GET /v2/sites`, which requires the
    /// scope `sites:read`. Without the scope, or while that call fails, the list is empty; later
    /// requests repeat the call. To find a site that was added to the workspace since, use
    /// [`tokens_for_site_in`](crate::WebflowAuthHandle::tokens_for_site_in).
    pub fn sites(&self) -> &[String] {
        self.0.details.sites()
    }

    /// Whether the site is one of [`sites`](Self::sites).
    pub fn covers_site(&self, site_id: &str) -> bool {
        self.sites().iter().any(|id| id == site_id)
    }

    /// Returns the IDs of the workspaces that the token covers. Empty if Webflow names none, or the
    /// token could not be introspected yet.
    pub fn workspaces(&self) -> &[String] {
        self.0.details.workspaces()
    }

    /// Returns the user who authorized the grant.
    ///
    /// `None` without the scope `authorized_user:read`, or while the lookup fails; later requests
    /// repeat it. Webflow does not state whether the email address is verified.
    pub fn user(&self) -> Option<&WebflowUser> {
        self.0.details.user.as_ref()
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

    /// Returns the URL that opens a site in Webflow's Designer with this app:
    /// `https://{short name}.design.webflow.com?app={client id}`.
    ///
    /// `None` if the site's short name is not a DNS label.
    pub fn designer_link(&self, site: &SiteInfo) -> Option<String> {
        let name = Some(&site.short_name).filter(|name| is_label(name))?;
        let app = utf8_percent_encode(&self.0.client.client_id, COMPONENT);
        Some(format!("https://{name}.design.webflow.com?app={app}"))
    }

    /// Returns a client for Webflow's Data API that uses this token.
    pub fn api(&self) -> WebflowApi {
        WebflowApi::new(self.clone())
    }

    /// Marks the token as used outside a request: if a call finds it dead, the grant is removed.
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

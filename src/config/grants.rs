//! Settings of grants, and the hooks.

use std::error::Error;
use std::sync::Arc;

use http::request::Parts;

use super::WebflowAuthBuilder;
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::token::WebflowToken;
use crate::hooks::{AuthFailure, Gone, NewGrant, Next};

/// # Grants and hooks
impl WebflowAuthBuilder {
    /// Sets whether the callback asks Webflow which sites and workspaces the grant covers. The
    /// default is true. A failed lookup does not fail the login.
    ///
    /// When disabled, [`sites`](WebflowToken::sites) and [`workspaces`](WebflowToken::workspaces)
    /// stay empty, lookups by site and workspace find nothing, and [`GrantPolicy::PerWorkspace`]
    /// adds a grant with every login.
    pub const fn introspect(mut self, introspect: bool) -> Self {
        self.introspect = introspect;
        self
    }

    /// Sets whether a new grant replaces the previous one. The default is [`GrantPolicy::Single`].
    pub const fn grants(mut self, policy: GrantPolicy) -> Self {
        self.grants = policy;
        self
    }

    /// Selects one of several grants for a request. The default is the newest. The grants are
    /// sorted newest first; returning `None` means that the request has no grant.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder().select_grant(|parts, grants| {
    ///     let wanted = parts.headers.get("x-workspace")?.to_str().ok()?;
    ///     grants.iter().find(|grant| grant.workspaces().iter().any(|it| it == wanted)).cloned()
    /// });
    /// ```
    pub fn select_grant(
        mut self,
        select: impl Fn(&Parts, &[WebflowToken]) -> Option<WebflowToken> + Send + Sync + 'static,
    ) -> Self {
        self.selection = Selection(Some(Arc::new(select)));
        self
    }

    /// Runs after a grant was stored and before the browser goes on: for provisioning.
    ///
    /// It may send the browser elsewhere ([`Next::redirect`]) or refuse the grant with an error. Then
    /// the new token is revoked, the store is as it was before, the user sees the problem
    /// `hook-refused`, and no session begins. A panic is logged and counts as [`Next::Continue`], and
    /// so does taking longer than 10 seconds.
    ///
    /// It runs once for each grant, also when a callback is repeated; another instance that gets the
    /// repeated callback sends the browser to the flow's page. It does not run for
    /// [`import`](crate::WebflowAuthHandle::import).
    ///
    /// ```
    /// # use tower_webflow_auth::{Next, WebflowAuthLayer};
    /// # async fn provision(_: &[String]) -> Result<(), std::io::Error> { Ok(()) }
    /// let builder = WebflowAuthLayer::builder().on_authorized(|new| async move {
    ///     provision(new.new_sites()).await?;
    ///     Ok(if new.is_first() { Next::redirect("/welcome") } else { Next::Continue })
    /// });
    /// ```
    pub fn on_authorized<F>(mut self, hook: impl Fn(NewGrant) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Next, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.hooks.authorized = Some(Arc::new(move |new| Box::pin(hook(new))));
        self
    }

    /// Called with each error response of the crate, on its own paths and on guarded routes. A
    /// returned response replaces it.
    ///
    /// Not called for the 401s `login-required` and `token-refused`, for `method-not-allowed`,
    /// `prefetch`, `token-replaced` and `misplaced-endpoints`, or for responses of handlers and
    /// extractors.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder().on_error(|error| {
    ///     eprintln!("{}: {}", error.kind(), error.detail());
    ///     None
    /// });
    /// ```
    pub fn on_error(
        mut self,
        hook: impl Fn(&AuthFailure) -> Option<http::Response<bytes::Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.error = Some(Arc::new(hook));
        self
    }

    /// Runs for each grant that has gone from the store, once, after it went.
    ///
    /// [`Gone::why`] tells a sign-out from an uninstall: Webflow reports neither. No response waits
    /// for it; [`shutdown`](crate::WebflowAuthLayer::shutdown) does. A panic is logged, and so is taking
    /// longer than 10 seconds.
    ///
    /// Grants that another instance removes are reported there. Two instances that replace the same
    /// grant at the same moment both report it. Grants that
    /// [`purge_older_than`](crate::WebflowAuthHandle::purge_older_than) removes are not reported.
    ///
    /// ```
    /// # use tower_webflow_auth::{WebflowAuthLayer, Why};
    /// # async fn stop_jobs(_: &[String]) {}
    /// let builder = WebflowAuthLayer::builder().on_revoked(|gone| async move {
    ///     if gone.why() != Why::Replaced {
    ///         stop_jobs(gone.token().sites()).await;
    ///     }
    /// });
    /// ```
    pub fn on_revoked<F>(mut self, hook: impl Fn(Gone) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.revoked = Some(Arc::new(move |gone| Box::pin(hook(gone))));
        self
    }
}

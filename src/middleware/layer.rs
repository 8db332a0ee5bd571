//! The layer, which wraps services and holds the state that they share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use tower_layer::Layer;

use super::endpoints::EndpointsService;
use super::service::WebflowAuth;
use crate::context::Context;
use crate::flow::begin::{BeginError, Login, begin};
use crate::gate::guard::{Guard, Mode};
use crate::grant::scope::{Scope, Scopes};
use crate::lifecycle::disconnect::remove_dead_later;

/// How long [`WebflowAuthLayer::shutdown`] waits.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// A tower layer that admits only requests whose user has connected Webflow.
///
/// It serves the callback, login and logout paths itself, wherever a request for them reaches it.
/// Any other request of a connected user is forwarded with a
/// [`WebflowToken`](crate::WebflowToken). Without a connected user, a browser's navigation is
/// redirected to Webflow, and any other request gets a 401. Clones share their state, so one layer
/// can wrap many routes.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, WebflowToken};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = WebflowAuthLayer::builder()
///     .client_id("client id")
///     .client_secret("client secret")
///     .redirect_uri("https://app.example.com/auth/webflow/callback")
///     .scopes([Scope::SITES_READ])
///     .keyring(Keyring::from_base64(&std::env::var("WEBFLOW_AUTH_KEY")?)?)
///     .build()?;
/// let app: Router = Router::new()
///     .route("/sites", get(|token: WebflowToken| async move { token.scopes().to_string() }))
///     .layer(auth.clone())
///     .route("/", get(|token: Option<WebflowToken>| async move {
///         if token.is_some() { "connected" } else { "not connected" }
///     }).layer(auth.optional()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WebflowAuthLayer {
    guard: Arc<Guard>,
}

impl WebflowAuthLayer {
    pub(crate) fn new(context: Context) -> Self {
        let context = Arc::new(context);
        let weak = Arc::downgrade(&context);
        context.vault.client.remove_dead_by(move |token| {
            if let Some(context) = weak.upgrade() {
                remove_dead_later(&context, token);
            }
        });
        Self::with_mode(context, Mode::Required { scopes: Scopes::default() })
    }

    fn with_mode(context: Arc<Context>, mode: Mode) -> Self {
        Self { guard: Arc::new(Guard { context, mode }) }
    }

    /// Returns this layer for routes that also work without a token. Their handlers take
    /// `Option<WebflowToken>`.
    #[must_use]
    pub fn optional(&self) -> Self {
        Self::with_mode(Arc::clone(&self.guard.context), Mode::Optional)
    }

    /// Returns this layer for routes that need these scopes in addition to the configured ones.
    #[must_use]
    pub fn require_scopes(&self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let scopes = scopes.into_iter().collect();
        self.guard.context.allow_scopes(&scopes);
        Self::with_mode(Arc::clone(&self.guard.context), Mode::Required { scopes })
    }

    /// The callback path: that of the redirect URI.
    pub fn callback_path(&self) -> &str {
        &self.guard.context.paths.callback
    }

    /// The path that starts a login. `None` if it is disabled.
    pub fn login_path(&self) -> Option<&str> {
        self.guard.context.paths.login.as_deref()
    }

    /// The path that ends a session. `None` if it is disabled.
    pub fn logout_path(&self) -> Option<&str> {
        self.guard.context.paths.logout.as_deref()
    }

    /// The path where panels get their bearer. `None` without a
    /// [`panel_origin`](crate::config::WebflowAuthBuilder::panel_origin).
    ///
    /// A Designer Extension sends `POST {"idToken": .., "siteId": .., "workspaceId": ..}`, with the
    /// results of `webflow.getIdToken()` and `webflow.getSiteInfo()`; `workspaceId` is optional.
    /// The response is `{"token": .., "expiresAt": .., "user": {"id", "email", "firstName",
    /// "lastName"}}`. The extension then sends the token as `Authorization: Bearer`, and handlers
    /// take [`PanelSession`](crate::PanelSession) and [`WebflowToken`](crate::WebflowToken).
    ///
    /// Errors are `application/problem+json`. A 409 `not-connected` has an absolute `login_url` for
    /// a pop-up window; once that login is complete, the same request succeeds. Source: Webflow,
    /// *Hybrid Apps*.
    #[cfg(feature = "panels")]
    pub fn panel_path(&self) -> Option<&str> {
        self.guard.context.panels.as_ref().map(|panels| panels.path.as_str())
    }

    /// Returns a service for the crate's own paths, for routers in which no layer receives them.
    pub fn endpoints_service(&self) -> EndpointsService {
        EndpointsService::new(Arc::clone(&self.guard.context))
    }

    /// Starts a login from one of the application's handlers.
    ///
    /// Whatever the request's method and headers, the response is a 303 to Webflow with the flow's
    /// cookie, or a 401 if the application has its own users and nobody is signed in. A handler
    /// that starts a login with [`data`](Login::data) must be protected against requests from other
    /// sites (CSRF).
    ///
    /// # Errors
    /// [`BeginError`] if the data is too long or not serializable, the token store failed a moment
    /// ago, or the application's subject lookup failed.
    ///
    /// ```
    /// use axum::body::Body;
    /// use axum::extract::{Request, State};
    /// use axum::response::Response;
    /// use tower_webflow_auth::{BeginError, Login, Scope, WebflowAuthLayer};
    ///
    /// async fn connect(
    ///     State(auth): State<WebflowAuthLayer>,
    ///     request: Request,
    /// ) -> Result<Response<Body>, BeginError> {
    ///     let (parts, _) = request.into_parts();
    ///     let login = Login::new().return_to("/projects/7").scopes([Scope::CMS_WRITE]).data(&7);
    ///     auth.begin(&parts, login).await
    /// }
    /// ```
    pub async fn begin<B: From<Bytes>>(
        &self,
        parts: &Parts,
        login: Login,
    ) -> Result<http::Response<B>, BeginError> {
        Ok(begin(self.context(), parts, login).await?.map(B::from))
    }

    /// Waits for work that outlives its request: code exchanges, store writes and revocations.
    ///
    /// Call this after the server has stopped accepting requests, so that no newly issued token is
    /// lost with the process. Pending retries make one last attempt. From now on, callbacks get a
    /// 503 with `Retry-After`, without exchanging their code. Returns true once all work has ended,
    /// or false after 10 seconds. Calling it repeatedly is harmless.
    ///
    /// ```
    /// # async fn run(auth: tower_webflow_auth::WebflowAuthLayer, app: axum::Router) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app).with_graceful_shutdown(async {
    ///     tokio::signal::ctrl_c().await.ok();
    /// }).await?;
    /// if !auth.shutdown().await {
    ///     eprintln!("some background work did not end in time");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) -> bool {
        self.guard.context.tasks.shutdown(SHUTDOWN_LIMIT).await
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.guard.context
    }
}

impl<S> Layer<S> for WebflowAuthLayer {
    type Service = WebflowAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WebflowAuth::new(inner, Arc::clone(&self.guard))
    }
}

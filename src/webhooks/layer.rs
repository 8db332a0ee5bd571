//! The layer for the route that receives webhooks.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::service::WebhookService;
use crate::config::{ConfigError, ConfigProblem};
use crate::context::handle::WebflowAuthHandle;
use crate::delivery::handled::Deliveries;
use crate::delivery::secrets::{self, Secrets};
use crate::middleware::WebflowAuthLayer;
use crate::util::clock::Clock;

const BODY_LIMIT: usize = 1024 * 1024;
const CONCURRENCY: usize = 256;

/// A tower layer for the route that receives Webflow's webhooks.
///
/// [`WebflowAuthLayer::webhooks`](crate::WebflowAuthLayer::webhooks) creates it. The
/// [module's documentation](super) lists its checks. Clones share the limit of concurrent
/// deliveries. All webhook layers of one `WebflowAuthLayer` share the record of handled deliveries.
///
/// ```
/// use axum::{Router, http::StatusCode, routing::post};
/// use tower_webflow_auth::{WebflowAuthLayer, webhooks::WebflowEvent};
///
/// async fn on_event(event: WebflowEvent) -> StatusCode {
///     println!("{}", event.trigger());
///     StatusCode::OK
/// }
///
/// fn app(auth: &WebflowAuthLayer) -> Router {
///     Router::new().route("/hooks/webflow", post(on_event).layer(auth.webhooks()))
/// }
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a route"]
pub struct WebhookLayer {
    pub(super) handle: WebflowAuthHandle,
    pub(super) clock: Clock,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) body_limit: usize,
}

impl WebflowAuthLayer {
    /// Returns a layer that verifies webhooks, for the route that receives them.
    ///
    /// The route needs no login, and need not be inside this layer. The
    /// [module's documentation](crate::webhooks) lists the checks.
    ///
    /// ```
    /// use axum::{Router, http::StatusCode, routing::post};
    /// use tower_webflow_auth::{WebflowAuthLayer, webhooks::WebflowEvent};
    ///
    /// async fn on_event(event: WebflowEvent) -> StatusCode {
    ///     println!("{} at site {:?}", event.trigger(), event.site_id());
    ///     StatusCode::OK
    /// }
    ///
    /// fn app(auth: &WebflowAuthLayer) -> Router {
    ///     Router::new().route("/hooks/webflow", post(on_event).layer(auth.webhooks()))
    /// }
    /// ```
    pub fn webhooks(&self) -> WebhookLayer {
        WebhookLayer::new(self.handle())
    }
}

impl WebhookLayer {
    fn new(handle: WebflowAuthHandle) -> Self {
        let shared = &handle.context;
        Self {
            clock: shared.clock.clone(),
            deliveries: Arc::clone(&shared.webhooks.deliveries),
            secrets: Arc::new(shared.webhooks.secrets.clone()),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            body_limit: BODY_LIMIT,
            handle,
        }
    }

    /// Also accepts deliveries signed with `secret`, on this route only. Can be called repeatedly.
    ///
    /// A webhook created with a site's API token is signed with the `secretKey` that Webflow shows
    /// once, in the response to its creation. To accept a secret on every route, use
    /// [`WebflowAuthBuilder::webhook_secret`](crate::config::WebflowAuthBuilder::webhook_secret).
    ///
    /// # Errors
    /// [`ConfigError`] if the secret is shorter than 16 bytes.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Result<Self, ConfigError> {
        let secret = secret.into();
        if let Some(problem) = secrets::problem(&secret) {
            let (setting, remedy) = ("webhooks().secret", secrets::REMEDY);
            return Err(ConfigProblem::Invalid { setting, problem, remedy }.into());
        }
        self.secrets = Arc::new(self.secrets.with(secret));
        Ok(self)
    }

    /// Sets the length limit of a body in bytes. Defaults to 1 MiB. A longer body gets a 413.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets how many deliveries may be read or handled at the same time, at least 1. Defaults to
    /// 256. Any further delivery gets a 503 without being read, and Webflow retries it.
    ///
    /// Bodies take up to `deliveries` times the [`body_limit`](Self::body_limit) of memory.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.permits = Arc::new(Semaphore::new(deliveries.clamp(1, Semaphore::MAX_PERMITS)));
        self
    }
}

impl<S> Layer<S> for WebhookLayer {
    type Service = WebhookService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WebhookService::new(inner, self.clone())
    }
}

impl fmt::Debug for WebhookLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookLayer")
            .field("secrets", &self.secrets.len())
            .field("body_limit", &self.body_limit)
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

//! Calls to Webflow's Data API with a token.
//!
//! ```no_run
//! use serde_json::Value;
//! use tower_webflow_auth::{WebflowToken, api::ApiError};
//!
//! async fn site_count(token: &WebflowToken) -> Result<usize, ApiError> {
//!     let answer: Value = token.api().get("/v2/sites").send().await?.json().await?;
//!     Ok(answer["sites"].as_array().map_or(0, Vec::len))
//! }
//! ```

mod confirm;
mod error;
mod introspect;
mod list;
mod pacing;
mod path;
mod request;
mod response;
mod retry;
mod service;
mod typed;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use http::Method;

use confirm::Confirmations;
pub use error::{ApiError, WebflowErrorBody};
pub use list::{ApiList, ListError};
pub use path::ApiPath;
pub use request::ApiRequest;
pub(crate) use request::deadline;
pub use response::{ApiResponse, RateLimit};
pub use service::{ApiBody, ApiService};
pub(crate) use typed::ResolvedUser;
pub use typed::{SiteInfo, TokenInfo};

use pacing::Holds;
use service::Host;

use crate::grant::token::WebflowToken;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// What all tokens of a layer share: the connection pool, the address, and the time allowed for a
/// call.
pub(crate) struct ApiClient {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) client_id: String,
    pub(crate) budget: Duration,
    clock: Clock,
    confirmations: Confirmations,
    holds: Holds,
    /// Removes the grant of a job's dead token.
    removal: OnceLock<Box<Removal>>,
}

type Removal = dyn Fn(&WebflowToken) + Send + Sync;

impl ApiClient {
    pub(crate) fn new(
        http: reqwest::Client,
        endpoints: Endpoints,
        client_id: String,
        budget: Duration,
        clock: Clock,
    ) -> Self {
        let (confirmations, holds) = (Confirmations::default(), Holds::default());
        let removal = OnceLock::new();
        Self { http, endpoints, client_id, budget, clock, confirmations, holds, removal }
    }

    /// Says how grants of dead tokens are removed; once, when the layer is built.
    pub(crate) fn remove_dead_by(&self, removal: impl Fn(&WebflowToken) + Send + Sync + 'static) {
        self.removal.set(Box::new(removal)).ok();
    }

    /// No layer sees what a job's call has found, so the grant is removed here.
    fn found_dead(&self, token: &WebflowToken) {
        if let Some(remove) = self.removal.get().filter(|_| token.is_for_job()) {
            remove(token);
        }
    }
}

/// Webflow's Data API, called with one token.
///
/// Paths are given in parts, `["sites", site_id, "pages"]`, or as a string that starts with `/`,
/// for example `/v2/sites`; see [`ApiPath`]. They stay on Webflow's host. An answer that is not a
/// success becomes an [`ApiError`] with Webflow's own code and message.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn names(token: WebflowToken) -> Result<Vec<String>, ApiError> {
///     Ok(token.api().sites().await?.into_iter().map(|site| site.display_name).collect())
/// }
/// ```
#[derive(Clone)]
pub struct WebflowApi {
    token: WebflowToken,
    host: Host,
    /// The time for each call of a job that waits out the rate limit.
    patience: Option<Duration>,
}

impl WebflowApi {
    pub(crate) const fn new(token: WebflowToken) -> Self {
        Self { token, host: Host::Api, patience: None }
    }

    pub(crate) const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// Calls of a job, which nobody waits for: each may take `budget`, and 429 is repeated for as
    /// long as that lasts. A list has the budget for each page.
    ///
    /// Once Webflow has answered 429 to a grant, the patient calls of that grant in this process wait
    /// until the time that it names. Other calls never wait for them.
    ///
    /// Source: Webflow Data API, *Rate Limits*.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use serde_json::Value;
    /// use tower_webflow_auth::{WebflowToken, api::{ApiError, ListError}};
    ///
    /// async fn export(token: WebflowToken, id: &str) -> Result<Vec<Value>, ListError<Value>> {
    ///     let api = token.api().patiently(Duration::from_secs(300));
    ///     api.list(["collections", id, "items"]).field("items").all().await
    /// }
    /// ```
    #[must_use]
    pub const fn patiently(mut self, budget: Duration) -> Self {
        self.patience = Some(budget);
        self
    }

    /// Reads published CMS items from `api-cdn.webflow.com`, in effect without a rate limit. It takes
    /// `GET` only; other methods are [`ApiError::InvalidRequest`].
    ///
    /// ```no_run
    /// use serde_json::Value;
    /// use tower_webflow_auth::{WebflowToken, api::ApiError};
    ///
    /// async fn posts(token: WebflowToken, collection: &str) -> Result<Vec<Value>, ApiError> {
    ///     let items = token.api().cdn().list(["collections", collection, "items", "live"]);
    ///     Ok(items.field("items").all().await?)
    /// }
    /// ```
    #[must_use]
    pub const fn cdn(mut self) -> Self {
        self.host = Host::Cdn;
        self
    }

    /// The tower service that sends each attempt; see [`ApiService`].
    pub fn service(&self) -> ApiService {
        ApiService::new(self.token.clone(), self.host, self.budget())
    }

    fn budget(&self) -> Duration {
        self.patience.unwrap_or(self.token.client().budget)
    }

    /// A `GET` of `path`.
    pub fn get(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::GET, path)
    }

    /// A `POST` to `path`.
    pub fn post(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::POST, path)
    }

    /// A `PATCH` of `path`.
    pub fn patch(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::PATCH, path)
    }

    /// A `PUT` to `path`.
    pub fn put(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::PUT, path)
    }

    /// A `DELETE` of `path`.
    pub fn delete(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::DELETE, path)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: impl ApiPath) -> ApiRequest {
        ApiRequest::new(self.service(), method, path, self.budget(), self.patience.is_some())
    }
}

impl fmt::Debug for WebflowApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowApi").field("token", &self.token).finish_non_exhaustive()
    }
}

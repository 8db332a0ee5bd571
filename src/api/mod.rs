//! A client for Webflow's Data API, authorized by a user's token.
//!
//! [`WebflowToken::api`] returns a [`WebflowApi`], which builds requests ([`ApiRequest`]) and reads
//! paginated lists ([`ApiList`]). Both retry within a time budget. [`ApiService`], the tower
//! service beneath them, sends single attempts.
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

/// State shared by all tokens of a layer: the connection pool, Webflow's endpoints, and the default
/// time limit of a call.
pub(crate) struct ApiClient {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) client_id: String,
    pub(crate) budget: Duration,
    clock: Clock,
    confirmations: Confirmations,
    holds: Holds,
    /// Removes the grant of a dead token that a background job used.
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

    /// Sets how grants of dead tokens are removed. Called once, when the layer is built.
    pub(crate) fn remove_dead_by(&self, removal: impl Fn(&WebflowToken) + Send + Sync + 'static) {
        self.removal.set(Box::new(removal)).ok();
    }

    /// Removes the grant of a job's dead token. Outside a request, no layer would do so.
    fn remove_if_for_job(&self, token: &WebflowToken) {
        if let Some(remove) = self.removal.get().filter(|_| token.is_for_job()) {
            remove(token);
        }
    }
}

/// Webflow's Data API, called with one token.
///
/// A path is an array of segments, `["sites", site_id, "pages"]`, or a string that starts with `/`,
/// such as `/v2/sites`; see [`ApiPath`]. It cannot leave Webflow's host. A response other than 2xx
/// becomes an [`ApiError`] with Webflow's code and message.
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
    /// The time limit of each call that waits out the rate limit. `None` for ordinary calls.
    patience: Option<Duration>,
}

impl WebflowApi {
    pub(crate) const fn new(token: WebflowToken) -> Self {
        Self { token, host: Host::Api, patience: None }
    }

    pub(crate) const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// Makes calls wait out the rate limit, for background jobs.
    ///
    /// Each call may take up to `budget`, and is repeated after a 429 for as long as that lasts. In
    /// a list, the budget is per page. After a 429, all patient calls of the same grant in this
    /// process wait until the time that Webflow named. Other calls do not wait.
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

    /// Sends the calls to `api-cdn.webflow.com`, which serves published CMS items and has no
    /// effective rate limit. Methods other than `GET` are [`ApiError::InvalidRequest`].
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

    /// Returns the tower service that sends each attempt; see [`ApiService`].
    pub fn service(&self) -> ApiService {
        ApiService::new(self.token.clone(), self.host, self.budget())
    }

    fn budget(&self) -> Duration {
        self.patience.unwrap_or(self.token.client().budget)
    }

    /// Builds a `GET` request for `path`.
    pub fn get(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::GET, path)
    }

    /// Builds a `POST` request to `path`.
    pub fn post(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::POST, path)
    }

    /// Builds a `PATCH` request for `path`.
    pub fn patch(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::PATCH, path)
    }

    /// Builds a `PUT` request to `path`.
    pub fn put(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::PUT, path)
    }

    /// Builds a `DELETE` request for `path`.
    pub fn delete(&self, path: impl ApiPath) -> ApiRequest {
        self.request(Method::DELETE, path)
    }

    /// Builds a request with any method.
    pub fn request(&self, method: Method, path: impl ApiPath) -> ApiRequest {
        ApiRequest::new(self.service(), method, path, self.budget(), self.patience.is_some())
    }
}

impl fmt::Debug for WebflowApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowApi").field("token", &self.token).finish_non_exhaustive()
    }
}

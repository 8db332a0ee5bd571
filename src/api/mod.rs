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

mod error;
mod list;
mod request;
mod response;
mod typed;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::Method;

pub use error::{ApiError, WebflowErrorBody};
pub use request::ApiRequest;
pub use response::{ApiResponse, RateLimit};
pub use typed::{AuthorizedUser, SiteInfo, TokenInfo};

use crate::context::Shared;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::webflow::Endpoints;

/// What all tokens of a layer share: the connection pool, the address, the time allowed for a
/// call, and the way back to the layer.
pub(crate) struct ApiClient {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) budget: Duration,
    marks: RandomState,
    home: OnceLock<Weak<Shared>>,
}

impl ApiClient {
    pub(crate) fn new(http: reqwest::Client, endpoints: Endpoints, budget: Duration) -> Self {
        Self { http, endpoints, budget, marks: RandomState::new(), home: OnceLock::new() }
    }

    /// Tells this layer's subjects apart, from each other and from those of other layers. Nobody
    /// outside can make two that share a mark.
    pub(crate) fn mark(&self, subject: &Subject) -> u64 {
        self.marks.hash_one(subject)
    }

    /// Notes what the tokens belong to, which happens once.
    pub(crate) fn belongs_to(&self, home: &Arc<Shared>) {
        self.home.get_or_init(|| Arc::downgrade(home));
    }

    /// `None` when the layer and all that is made of it are gone.
    pub(crate) fn home(&self) -> Option<Arc<Shared>> {
        self.home.get()?.upgrade()
    }
}

/// Webflow's Data API, called with one token.
///
/// Paths start with `/`, for example `/v2/sites`, and stay on Webflow's host. An answer that is
/// not a success becomes an [`ApiError`] with Webflow's own code and message.
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
}

impl WebflowApi {
    pub(crate) const fn new(token: WebflowToken) -> Self {
        Self { token }
    }

    pub(crate) const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// A `GET` of `path`.
    pub fn get(&self, path: &str) -> ApiRequest {
        self.request(Method::GET, path)
    }

    /// A `POST` to `path`.
    pub fn post(&self, path: &str) -> ApiRequest {
        self.request(Method::POST, path)
    }

    /// A `PATCH` of `path`.
    pub fn patch(&self, path: &str) -> ApiRequest {
        self.request(Method::PATCH, path)
    }

    /// A `PUT` to `path`.
    pub fn put(&self, path: &str) -> ApiRequest {
        self.request(Method::PUT, path)
    }

    /// A `DELETE` of `path`.
    pub fn delete(&self, path: &str) -> ApiRequest {
        self.request(Method::DELETE, path)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> ApiRequest {
        ApiRequest::new(self.token.clone(), method, path)
    }
}

impl fmt::Debug for WebflowApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowApi").field("token", &self.token).finish()
    }
}

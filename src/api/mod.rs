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
mod list;
mod path;
mod request;
mod response;
mod typed;

use std::fmt;
use std::time::Duration;

use http::Method;

use confirm::Confirmations;
pub use error::{ApiError, WebflowErrorBody};
pub use list::{ApiList, ListError};
pub use path::ApiPath;
pub use request::ApiRequest;
pub(crate) use request::deadline;
pub use response::{ApiResponse, RateLimit};
pub(crate) use typed::ResolvedUser;
pub use typed::{SiteInfo, TokenInfo};

use crate::grant::token::WebflowToken;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// What all tokens of a layer share: the connection pool, the address, and the time allowed for a
/// call.
pub(crate) struct ApiClient {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) budget: Duration,
    clock: Clock,
    confirmations: Confirmations,
}

impl ApiClient {
    pub(crate) fn new(
        http: reqwest::Client,
        endpoints: Endpoints,
        budget: Duration,
        clock: Clock,
    ) -> Self {
        Self { http, endpoints, budget, clock, confirmations: Confirmations::default() }
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
}

impl WebflowApi {
    pub(crate) const fn new(token: WebflowToken) -> Self {
        Self { token }
    }

    pub(crate) const fn token(&self) -> &WebflowToken {
        &self.token
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
        ApiRequest::new(self.token.clone(), method, path)
    }
}

impl fmt::Debug for WebflowApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowApi").field("token", &self.token).finish()
    }
}

//! The request builder, and the loop that sends a call with its retries.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request};
use serde::Serialize;
use tokio::time::Instant;
use tower_service::Service;

use super::retry::{ATTEMPTS, Attempts, Repeat};
use super::service::{ApiService, Host};
use super::{ApiError, ApiPath, ApiResponse, WebflowErrorBody};
use crate::util::clock::Clock;
use crate::webflow::retry_after;

/// A call to Webflow's Data API that has not been sent yet.
///
/// Invalid requests (a path off Webflow's host, a body that does not serialize) are reported by
/// [`send`](Self::send).
///
/// ```no_run
/// use std::time::Duration;
/// use serde_json::{Value, json};
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn publish(token: WebflowToken, site: &str) -> Result<Value, ApiError> {
///     let body = json!({ "publishToWebflowSubdomain": true });
///     let call = token.api().post(["sites", site, "publish"]).json(&body);
///     call.timeout(Duration::from_secs(30)).send().await?.json().await
/// }
/// ```
///
/// # Retries
/// A call is sent up to three times, as in both official SDKs:
///
/// | method | repeated after |
/// | --- | --- |
/// | `GET` | 408, 409, 429, 5xx, no connection, a connection closed before a response |
/// | `HEAD`, `PUT`, `DELETE`, `OPTIONS` | as for `GET`, except 409 |
/// | any other | 429 |
///
/// `Retry-After` (whole or fractional seconds, or a date) sets the pause, otherwise
/// `X-RateLimit-Reset` (Unix seconds). Without either, the pauses are at most 1 s and 2 s, with
/// jitter. If a pause does not fit into the rest of the [`timeout`](Self::timeout), the error is
/// returned immediately. An attempt that timed out is not repeated.
#[must_use = "nothing is sent before `send`"]
pub struct ApiRequest {
    service: ApiService,
    method: Method,
    budget: Duration,
    repeat: Repeat,
    attempts: u32,
    /// Whether to wait out rate limits: those of this call, and those that other patient calls met.
    patient: bool,
    inner: Result<reqwest::RequestBuilder, ApiError>,
}

impl ApiRequest {
    pub(super) fn new(
        service: ApiService,
        method: Method,
        path: impl ApiPath,
        budget: Duration,
        patient: bool,
    ) -> Self {
        let repeat = Repeat::for_method(&method);
        let inner = match path.into_path() {
            Ok(_) if service.host() == Host::Cdn && method != Method::GET => {
                Err(ApiError::InvalidRequest("the CDN takes GET only".into()))
            }
            path => path.map(|path| {
                service.token().client().http.request(method.clone(), service.url(&path))
            }),
        };
        Self { service, method, budget, repeat, attempts: ATTEMPTS, patient, inner }
    }

    fn map(
        mut self,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Self {
        self.inner = self.inner.map(change);
        self
    }

    /// Clones the request. An error moves to the clone.
    pub(super) fn duplicate(&mut self) -> Self {
        let clone = self.inner.as_ref().ok().and_then(reqwest::RequestBuilder::try_clone);
        let spent = || Err(ApiError::InvalidRequest("the request was already sent".into()));
        let inner = match clone {
            Some(clone) => Ok(clone),
            None => std::mem::replace(&mut self.inner, spent()),
        };
        Self { service: self.service.clone(), method: self.method.clone(), inner, ..*self }
    }

    /// Appends query parameters.
    pub fn query<T: Serialize + ?Sized>(self, parameters: &T) -> Self {
        self.map(|request| request.query(parameters))
    }

    /// Sends `body` as JSON.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.map(|request| request.json(body))
    }

    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.map(|request| request.header(name, value))
    }

    /// Limits the whole call, including its retries and the response body.
    ///
    /// Defaults to the budget given to [`patiently`](super::WebflowApi::patiently), otherwise to
    /// the builder's [`timeout`](crate::config::WebflowAuthBuilder::timeout) (10 seconds).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.budget = timeout;
        self
    }

    /// Allows retries for a request that changes nothing, whatever its method.
    pub(crate) const fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Read;
        self
    }

    /// Disables retries.
    pub const fn no_retry(mut self) -> Self {
        self.attempts = 1;
        self.patient = false;
        self
    }

    /// Sends the call, and returns when the head of the response has arrived.
    ///
    /// # Errors
    /// [`ApiError`]: a response other than 2xx, a timeout, a failed connection, or a request that
    /// cannot be sent.
    ///
    /// After a 401 the token is introspected. The error is [`ApiError::Unauthorized`] only if
    /// introspection answers 401 too. A handler that returns this error sends the user to Webflow
    /// for a new token.
    pub async fn send(self) -> Result<ApiResponse, ApiError> {
        let request = self.inner?.build().map_err(ApiError::from_transport)?;
        let client = self.service.token().client();
        let deadline = deadline(self.budget);
        let mut attempts = Attempts::new(self.repeat, self.attempts, self.patient);
        loop {
            if self.patient {
                let held = client.holds.left(self.service.token(), &client.clock);
                if !held.is_zero() && !wait(held, deadline, &client.clock).await {
                    let body = WebflowErrorBody::default();
                    return Err(ApiError::RateLimited { retry_after: Some(held), body });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut service = self.service.clone().within(left);
            let (pause, error) = match service.call(copy(&request)?).await {
                Ok(response) if response.status().is_success() => {
                    return Ok(ApiResponse::new(response));
                }
                Ok(response) => {
                    let asked = retry_after(response.headers(), client.clock.now());
                    let pause = attempts.after_status(response.status(), asked);
                    let error = ApiError::from_answer(response, self.service.token(), asked).await;
                    (pause, error)
                }
                Err(error) => (attempts.after_failure(&error), error),
            };
            match pause {
                Some(pause) if wait(pause, deadline, &client.clock).await => {}
                _ => return Err(error),
            }
        }
    }
}

/// Sleeps for `pause` and returns true, or returns false if the deadline would pass first.
async fn wait(pause: Duration, deadline: Instant, clock: &Clock) -> bool {
    let fits = pause < deadline.saturating_duration_since(Instant::now());
    if fits {
        clock.sleep(pause).await;
    }
    fits
}

fn copy(request: &reqwest::Request) -> Result<Request<reqwest::Body>, ApiError> {
    let copy = request.try_clone();
    let copy = copy.ok_or(ApiError::InvalidRequest("the body cannot be sent twice".into()))?;
    Request::try_from(copy).map_err(ApiError::from_transport)
}

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after `budget`; after a day if that overflows.
pub fn deadline(budget: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(budget).unwrap_or(now + A_DAY)
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("token", self.service.token())
            .finish_non_exhaustive()
    }
}

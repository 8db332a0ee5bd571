//! A call before it is sent.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{ApiError, ApiPath, ApiResponse};
use crate::grant::token::WebflowToken;
use crate::webflow::closed_unanswered;

/// A call to Webflow's Data API, to be filled and sent.
///
/// What cannot be sent (a path off Webflow's host, a body that does not serialize) is told by
/// [`send`](Self::send).
///
/// ```no_run
/// use std::time::Duration;
/// use serde_json::{Value, json};
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn publish(token: WebflowToken, site: &str) -> Result<Value, ApiError> {
///     let path = format!("/v2/sites/{site}/publish");
///     let body = json!({ "publishToWebflowSubdomain": true });
///     token.api().post(&path).json(&body).timeout(Duration::from_secs(30)).send().await?.json().await
/// }
/// ```
#[must_use = "nothing is sent before `send`"]
pub struct ApiRequest {
    token: WebflowToken,
    method: Method,
    budget: Duration,
    repeatable: bool,
    attempts: u32,
    inner: Result<reqwest::RequestBuilder, ApiError>,
}

impl ApiRequest {
    pub(super) fn new(token: WebflowToken, method: Method, path: impl ApiPath) -> Self {
        let client = token.client();
        let budget = client.budget;
        let repeatable = method.is_idempotent();
        let inner = path.into_path().map(|path| {
            client
                .http
                .request(method.clone(), client.endpoints.api_path(&path))
                .bearer_auth(token.access_token().expose_secret())
        });
        Self { token, method, budget, repeatable, attempts: ATTEMPTS, inner }
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
        let again = self.inner.as_ref().ok().and_then(reqwest::RequestBuilder::try_clone);
        let spent = || Err(ApiError::InvalidRequest("the request was sent before".into()));
        let inner = match again {
            Some(again) => Ok(again),
            None => std::mem::replace(&mut self.inner, spent()),
        };
        Self { token: self.token.clone(), method: self.method.clone(), inner, ..*self }
    }

    /// Appends query parameters.
    pub fn query<T: Serialize + ?Sized>(self, parameters: &T) -> Self {
        self.map(|request| request.query(parameters))
    }

    /// Sends `body` as JSON.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.map(|request| request.json(body))
    }

    /// Sends a header beside those that the crate sets.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.map(|request| request.header(name, value))
    }

    /// The time for the whole call; the default is the builder's
    /// [`timeout`](crate::config::WebflowAuthBuilder::timeout), 10 seconds.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.budget = timeout;
        self
    }

    /// Allows retries for a request that changes nothing, whatever its method.
    pub(crate) const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Tries once only. Otherwise a call that can be repeated (`GET`, `HEAD`, `PUT`, `DELETE`) is
    /// made up to three times within its time: when no connection came about, when the connection
    /// closed before an answer, and when Webflow asks to wait (429) for no longer than is left.
    pub const fn no_retry(mut self) -> Self {
        self.attempts = 1;
        self
    }

    /// Sends the call and takes the head of the answer.
    ///
    /// # Errors
    /// [`ApiError`]: an answer that is not a success, no answer in time, no connection, or a
    /// request that cannot be sent.
    ///
    /// After a 401 the token is introspected. Only if that answers 401 too, the error is
    /// [`ApiError::Unauthorized`], and a handler that returns it sends the user to Webflow for a
    /// new token.
    pub async fn send(self) -> Result<ApiResponse, ApiError> {
        let request = self.inner?;
        let deadline = deadline(self.budget);
        let mut left = if self.repeatable { self.attempts } else { 1 };
        let mut pause = FIRST_PAUSE;
        loop {
            left -= 1;
            // A body that is a stream cannot be sent twice.
            let again = if left > 0 { request.try_clone() } else { None };
            let Some(attempt) = again else {
                return send_once(request, deadline, &self.token).await;
            };
            let error = match send_once(attempt, deadline, &self.token).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = match &error {
                ApiError::RateLimited { retry_after: Some(wait), .. } => *wait,
                ApiError::Unreachable(cause) if cause.is_connect() || closed_unanswered(cause) => {
                    pause
                }
                _ => return Err(error),
            };
            if wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(error);
            }
            sleep(wait).await;
            pause *= 2;
        }
    }
}

/// Before the second attempt at a connection; then twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const ATTEMPTS: u32 = 3;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after `budget`; after a day if that overflows.
pub(crate) fn deadline(budget: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(budget).unwrap_or(now + A_DAY)
}

async fn send_once(
    request: reqwest::RequestBuilder,
    deadline: Instant,
    token: &WebflowToken,
) -> Result<ApiResponse, ApiError> {
    let response = match timeout_at(deadline, request.send()).await {
        Err(_) => return Err(ApiError::Timeout),
        Ok(Err(error)) => return Err(ApiError::from_transport(error)),
        Ok(Ok(response)) => ApiResponse::new(response, deadline),
    };
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(ApiError::from_answer(response, token, deadline).await)
    }
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

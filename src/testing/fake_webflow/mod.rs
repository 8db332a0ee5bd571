//! A fake Webflow that enforces Webflow's documented rules.
//!
//! `server` accepts requests, `routes` calls the endpoint's file, and `state` is what they share.
//! Endpoints are synchronous, so a client that disconnects cannot stop one half-way.

mod answer;
mod assets;
mod authorize;
mod builder;
mod collections;
mod consent;
mod data_api;
#[cfg(feature = "webhooks")]
mod delivery;
mod designer;
mod faults;
mod forms;
mod ids;
mod issued;
mod item;
mod item_query;
mod items;
mod list;
mod log;
mod oauth;
mod pages;
mod routes;
mod server;
mod sites;
mod state;
mod user;
#[cfg(feature = "webhooks")]
mod webhooks;
mod workspaces;

use std::fmt;
use std::sync::Arc;

use http::Method;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;

pub use self::answer::{ErrorShape, ListShape, ScopeShape};
pub use self::authorize::Refused;
pub use self::builder::FakeWebflowBuilder;
#[cfg(feature = "webhooks")]
pub use self::delivery::{Delivered, Delivery, FakeEvent};
pub use self::faults::{Endpoint, Fault};
pub use self::log::RecordedRequest;
#[cfg(feature = "webhooks")]
pub use self::webhooks::FakeWebhook;
pub use self::workspaces::{Access, Site, Workspace};

use self::state::{FakeState, lock};
use crate::grant::scope::Scopes;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// A fake Webflow: an HTTP server on loopback that enforces Webflow's documented rules.
///
/// It has one app and one user with workspaces, and it is as strict as Webflow:
///
/// 1. The authorize link gets a 400 page unless `client_id`, `redirect_uri`, `response_type` and
///    `scope` exactly match the app's registration.
/// 2. A code works once, for 15 minutes, and only with the `redirect_uri` of its link.
/// 3. The exchange accepts JSON or a form, the revocation only JSON.
/// 4. The Data API requires a live token with the endpoint's scope, within the rate limit (60
///    requests a minute). It responds with 401 both for a dead token and for a site that the token
///    does not cover, and with 501 to endpoints that the fake does not implement.
///
/// [`fail_next`](Self::fail_next) and [`fail_always`](Self::fail_always) inject faults at any
/// endpoint, [`answer`](Self::answer) sets the response for any path, and [`log`](Self::log) returns
/// the requests. Dropping the value stops the server and closes its connections.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webflow_auth::testing::FakeWebflow;
///
/// let webflow = FakeWebflow::start().await;
/// webflow.register_redirect_uri("http://127.0.0.1:3000/auth/webflow/callback");
///
/// // Where the app would send the browser; this one is Webflow's own Install link.
/// let link = webflow.install_url();
/// // The user presses Authorize, and the browser comes back with a code.
/// let callback = webflow.approve(&link)?;
/// assert!(callback.as_str().starts_with("http://127.0.0.1:3000/auth/webflow/callback?code="));
/// # Ok(()) }
/// ```
///
/// # Security
/// For tests and demos only: anyone who reaches the port can authorize anything, and the log
/// contains codes and secrets. It only listens on loopback.
pub struct FakeWebflow {
    base_url: String,
    fake: Arc<FakeState>,
    server: JoinHandle<()>,
}

/// Setup, and what an app needs to know.
impl FakeWebflow {
    /// Starts a server with the default settings on a free port.
    ///
    /// # Panics
    /// If 127.0.0.1 has no free port, the system has no randomness, or there is no Tokio runtime
    /// with I/O and time enabled. [`FakeWebflowBuilder::start`] returns an error instead.
    #[expect(
        clippy::expect_used,
        reason = "a test needs its server; the builder has a fallible version"
    )]
    pub async fn start() -> Self {
        Self::builder().start().await.expect("a free port on 127.0.0.1")
    }

    /// Returns a builder with the default settings; call [`start`](FakeWebflowBuilder::start) on
    /// it.
    pub fn builder() -> FakeWebflowBuilder {
        FakeWebflowBuilder::default()
    }

    /// Stops the server, closes its connections and waits until the port is free. Dropping does the
    /// same without waiting.
    pub async fn stop(mut self) {
        self.server.abort();
        // The only possible error is the abort itself.
        let _ = (&mut self.server).await;
    }

    /// Returns the base URL: scheme, host and port, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the endpoints for the layer.
    pub fn endpoints(&self) -> Endpoints {
        self.fake.endpoints.clone()
    }

    /// Returns the app's client ID.
    pub fn client_id(&self) -> &str {
        &self.fake.app.client_id
    }

    /// Returns the app's ID in introspection responses, 24 hex digits. It differs from the client ID.
    pub fn application_id(&self) -> &str {
        &self.fake.app.id
    }

    /// Returns the app's client secret.
    pub fn client_secret(&self) -> &str {
        self.fake.app.client_secret.expose_secret()
    }

    /// Returns the scopes that the app is registered with.
    pub fn scopes(&self) -> &Scopes {
        &self.fake.app.scopes
    }

    /// Returns the clock for codes, ID tokens and rate limits.
    pub fn clock(&self) -> &Clock {
        &self.fake.clock
    }

    /// Returns the user's workspaces with their sites.
    pub fn workspaces(&self) -> &[Workspace] {
        &self.fake.workspaces
    }

    /// Registers a redirect URI, compared exactly.
    pub fn register_redirect_uri(&self, uri: impl Into<String>) {
        lock(&self.fake.settings).redirect_uris.push(uri.into());
    }

    /// Sets how the exchange writes the token's scopes.
    pub fn set_scope_shape(&self, shape: ScopeShape) {
        lock(&self.fake.settings).scope_shape = shape;
    }

    /// Sets how the OAuth endpoints write errors.
    pub fn set_error_shape(&self, shape: ErrorShape) {
        lock(&self.fake.settings).error_shape = shape;
    }

    /// Sets how the Data API writes lists.
    pub fn set_list_shape(&self, shape: ListShape) {
        lock(&self.fake.settings).list_shape = shape;
    }

    /// Sets the Data API's rate limit in requests per minute and token.
    pub fn set_rate_limit(&self, requests_per_minute: u32) {
        lock(&self.fake.settings).requests_per_minute = requests_per_minute;
    }
}

/// Issued tokens.
impl FakeWebflow {
    /// Returns how many tokens were issued since the start, including dead ones.
    pub fn issued_tokens(&self) -> usize {
        lock(&self.fake.issued).issued_tokens()
    }

    /// Returns how many tokens are live, that is, not revoked.
    pub fn live_tokens(&self) -> usize {
        lock(&self.fake.issued).live_tokens()
    }

    /// Returns the token that was issued last, live or not.
    pub fn latest_token(&self) -> Option<String> {
        let issued = lock(&self.fake.issued);
        issued.latest_token().map(str::to_owned)
    }

    /// Revokes one token. Returns `false` if it was not live.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.fake.issued).revoke(token)
    }

    /// Uninstalls the app: revokes every token and every unused code.
    pub fn revoke_everything(&self) {
        lock(&self.fake.issued).revoke_everything();
    }
}

/// Recorded requests and injected faults.
impl FakeWebflow {
    /// Returns the requests so far, oldest first; only the latest 10 000 are kept. A request is
    /// recorded once it has been received completely, whether or not it was answered.
    pub fn log(&self) -> Vec<RecordedRequest> {
        lock(&self.fake.log).iter().cloned().collect()
    }

    /// Returns the requests in the [`log`](Self::log) to this path, with any query.
    pub fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        let log = lock(&self.fake.log);
        log.iter().filter(|r| r.path() == path).cloned().collect()
    }

    /// Waits until `count` requests to a path have been received, for example before dropping a
    /// hanging one.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        loop {
            let logged = self.fake.logged.notified();
            if self.requests_to(path).len() >= count {
                return;
            }
            logged.await;
        }
    }

    /// Clears the request log.
    pub fn clear_log(&self) {
        lock(&self.fake.log).clear();
    }

    /// Injects a fault into the next request to an endpoint. Several faults queue up.
    pub fn fail_next(&self, endpoint: Endpoint, fault: Fault) {
        self.fail_times(endpoint, 1, fault);
    }

    /// Injects a fault into the next `times` requests to an endpoint.
    #[expect(clippy::needless_pass_by_value, reason = "the same signature as fail_always")]
    pub fn fail_times(&self, endpoint: Endpoint, times: usize, fault: Fault) {
        lock(&self.fake.faults).push(endpoint, times, &fault);
    }

    /// Injects a fault into every request to an endpoint, after its queue, until
    /// [`heal`](Self::heal).
    pub fn fail_always(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.fake.faults).set(endpoint, fault);
    }

    /// Sets the response to every request with this method and path, until the next
    /// [`heal`](Self::heal). The path is compared as sent, without the query, and may be one that
    /// the fake does not implement. A later response for the same method and path replaces this one.
    ///
    /// ```
    /// # #[tokio::main] async fn main() {
    /// use serde_json::json;
    /// use tower_webflow_auth::testing::{FakeWebflow, Fault};
    ///
    /// let webflow = FakeWebflow::start().await;
    /// let redirects = json!({"redirects": [{"id": "r1", "fromUrl": "/a", "toUrl": "/b"}]});
    /// webflow.answer(http::Method::GET, "/v2/sites/s1/redirects", Fault::json(200, &redirects));
    /// # }
    /// ```
    pub fn answer(&self, method: Method, path: impl Into<String>, answer: Fault) {
        lock(&self.fake.faults).answer(method, path.into(), answer);
    }

    /// Removes all pending faults, and the responses set by [`answer`](Self::answer).
    pub fn heal(&self) {
        *lock(&self.fake.faults) = faults::Faults::default();
    }
}

impl Drop for FakeWebflow {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for FakeWebflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWebflow")
            .field("base_url", &self.base_url)
            .field("client_id", &self.client_id())
            .field("issued_tokens", &self.issued_tokens())
            .field("live_tokens", &self.live_tokens())
            .finish_non_exhaustive()
    }
}

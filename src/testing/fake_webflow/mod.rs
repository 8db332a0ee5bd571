//! A stand-in for Webflow that holds clients to Webflow's documented rules.
//!
//! `server` takes requests, `routes` hands each to the file of its endpoint; `world` is the state they
//! share. Endpoints answer without waiting, so a client that leaves cannot stop one half way.

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
mod directory;
mod faults;
mod forms;
mod item;
mod item_query;
mod items;
mod ledger;
mod list;
mod log;
mod mint;
mod oauth;
mod pages;
mod routes;
mod server;
mod sites;
mod user;
#[cfg(feature = "webhooks")]
mod webhooks;
mod world;

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
pub use self::directory::{Access, Site, Workspace};
pub use self::faults::{Endpoint, Fault};
pub use self::log::RecordedRequest;
#[cfg(feature = "webhooks")]
pub use self::webhooks::FakeWebhook;

use self::world::{World, lock};
use crate::grant::scope::Scopes;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// A stand-in for Webflow: a real HTTP server on loopback that keeps Webflow's documented rules.
///
/// It knows one app, one user and the user's workspaces, and it is strict where Webflow is:
///
/// 1. The authorize link is refused with a 400 page unless `client_id`, `redirect_uri`,
///    `response_type` and `scope` agree to the letter with the app's registration.
/// 2. A code works once, for 15 minutes, and only with the `redirect_uri` of its link.
/// 3. The exchange takes JSON or a form, the revocation JSON only.
/// 4. The Data API asks for a live token, the endpoint's scope and patience (60 requests a minute).
///    It answers 401 for a dead token and for a site that the token does not cover alike, and 501 to
///    what it does not serve.
///
/// [`fail_next`](Self::fail_next) and [`fail_always`](Self::fail_always) make any endpoint
/// misbehave, [`answer`](Self::answer) answers anything to any path, and [`log`](Self::log) has the
/// requests. Dropping the value stops the server and its
/// connections.
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
/// For tests and demonstrations only: whoever reaches the port can authorize anything, and the
/// log keeps codes and secrets. It refuses to listen anywhere but on loopback.
pub struct FakeWebflow {
    base_url: String,
    world: Arc<World>,
    server: JoinHandle<()>,
}

/// Set up, and what an app needs to know.
impl FakeWebflow {
    /// Starts one with the builder's defaults, on a free port.
    ///
    /// # Panics
    /// When the machine has no free port on 127.0.0.1 or no randomness, and outside of a Tokio
    /// runtime with I/O and time enabled. [`FakeWebflowBuilder::start`] answers an error instead.
    #[expect(
        clippy::expect_used,
        reason = "a test without a server cannot go on; the builder has the fallible twin"
    )]
    pub async fn start() -> Self {
        Self::builder().start().await.expect("a free port on 127.0.0.1")
    }

    /// Settings, to be followed by [`start`](FakeWebflowBuilder::start).
    pub fn builder() -> FakeWebflowBuilder {
        FakeWebflowBuilder::default()
    }

    /// Stops the server and its connections, and waits until the port is free again. A drop does
    /// the same without waiting.
    pub async fn stop(mut self) {
        self.server.abort();
        // The only error is that of having been aborted.
        let _ = (&mut self.server).await;
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The addresses to give to the layer.
    pub fn endpoints(&self) -> Endpoints {
        self.world.endpoints.clone()
    }

    /// The app's client identifier.
    pub fn client_id(&self) -> &str {
        &self.world.app.client_id
    }

    /// The app's ID, 24 hex digits, as introspection tells it. It differs from the client ID.
    pub fn application_id(&self) -> &str {
        &self.world.app.id
    }

    /// The app's client secret.
    pub fn client_secret(&self) -> &str {
        self.world.app.client_secret.expose_secret()
    }

    /// The scopes that the app is registered with.
    pub fn scopes(&self) -> &Scopes {
        &self.world.app.scopes
    }

    /// The clock by which codes, ID tokens and rate limits run.
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// The user's workspaces with their sites.
    pub fn workspaces(&self) -> &[Workspace] {
        &self.world.workspaces
    }

    /// Registers an address for callbacks, to be met to the letter.
    pub fn register_redirect_uri(&self, uri: impl Into<String>) {
        lock(&self.world.settings).redirect_uris.push(uri.into());
    }

    /// Sets how the exchange writes the token's scopes from now on.
    pub fn set_scope_shape(&self, shape: ScopeShape) {
        lock(&self.world.settings).scope_shape = shape;
    }

    /// Sets how the OAuth endpoints write errors from now on.
    pub fn set_error_shape(&self, shape: ErrorShape) {
        lock(&self.world.settings).error_shape = shape;
    }

    /// Sets how the Data API writes lists from now on.
    pub fn set_list_shape(&self, shape: ListShape) {
        lock(&self.world.settings).list_shape = shape;
    }

    /// Sets how many requests per token and minute the Data API lets through from now on.
    pub fn set_rate_limit(&self, requests_per_minute: u32) {
        lock(&self.world.settings).requests_per_minute = requests_per_minute;
    }
}

/// What was issued.
impl FakeWebflow {
    /// How many tokens were issued since the start, the dead ones included.
    pub fn issued_tokens(&self) -> usize {
        lock(&self.world.ledger).issued_tokens()
    }

    /// How many tokens are live: issued and not revoked.
    pub fn live_tokens(&self) -> usize {
        lock(&self.world.ledger).live_tokens()
    }

    /// The token that was issued last, live or not.
    pub fn latest_token(&self) -> Option<String> {
        let ledger = lock(&self.world.ledger);
        ledger.latest_token().map(str::to_owned)
    }

    /// Ends one token, as if it had been revoked; `false` when it was not live.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.world.ledger).revoke(token)
    }

    /// The user uninstalls the app: every token and every unused code dies.
    pub fn revoke_everything(&self) {
        lock(&self.world.ledger).revoke_everything();
    }
}

/// What was asked, and what goes wrong.
impl FakeWebflow {
    /// The requests so far, oldest first; of very many only the latest 10 000. A request is in it
    /// from the moment it has arrived whole, answered or not.
    pub fn log(&self) -> Vec<RecordedRequest> {
        lock(&self.world.log).iter().cloned().collect()
    }

    /// The requests of the [`log`](Self::log) to one path, whatever their query.
    pub fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        let log = lock(&self.world.log);
        log.iter().filter(|r| r.path() == path).cloned().collect()
    }

    /// Waits until `count` requests to a path have arrived, for instance before a hanging one is
    /// dropped.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        loop {
            let logged = self.world.logged.notified();
            if self.requests_to(path).len() >= count {
                return;
            }
            logged.await;
        }
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        lock(&self.world.log).clear();
    }

    /// Lets the next request to an endpoint go wrong; several faults queue up.
    pub fn fail_next(&self, endpoint: Endpoint, fault: Fault) {
        self.fail_times(endpoint, 1, fault);
    }

    /// Lets the next `times` requests to an endpoint go wrong.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "one way to hand over a fault, here and in fail_always"
    )]
    pub fn fail_times(&self, endpoint: Endpoint, times: usize, fault: Fault) {
        lock(&self.world.faults).push(endpoint, times, &fault);
    }

    /// Lets every request to an endpoint go wrong, once its queue is empty, until
    /// [`heal`](Self::heal).
    pub fn fail_always(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.world.faults).set(endpoint, fault);
    }

    /// Answers every request with this method and path, until the next [`heal`](Self::heal). The
    /// path is compared as it was sent, without the query, and may be one that the fake does not
    /// serve. An answer given to the same method and path later replaces this one.
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
        lock(&self.world.faults).answer(method, path.into(), answer);
    }

    /// Takes back every fault that has not struck yet, and the answers.
    pub fn heal(&self) {
        *lock(&self.world.faults) = faults::Faults::default();
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

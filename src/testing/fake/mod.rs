//! A stand-in for Webflow: a real HTTP server on loopback that keeps Webflow's documented rules.

mod api;
mod authorize;
mod fault;
mod log;
mod oauth;
mod page;
mod reply;
mod server;
mod state;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

pub use fault::{FakeEndpoint, Fault};
pub use log::RecordedRequest;
pub use state::FakeSite;

use state::State;

use crate::{Clock, Endpoints, Scope, Scopes, random};

/// A stand-in for Webflow's authorization server and Data API, on loopback.
///
/// It is strict where Webflow is: redirect URIs must be registered, scopes must be among the
/// app's, a code works once and for 15 minutes, the `redirect_uri` of the exchange must be the one
/// of the authorize link. Faults can be planted, and everything that was asked is on record.
/// Dropping it stops the server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, testing::FakeWebflow};
///
/// let redirect_uri = "http://127.0.0.1:3000/auth/webflow/callback";
/// let fake = FakeWebflow::builder().redirect_uri(redirect_uri).start().await?;
/// let auth = WebflowAuthLayer::builder()
///     .client_id(fake.client_id())
///     .client_secret(fake.client_secret())
///     .redirect_uri(redirect_uri)
///     .scopes([Scope::SITES_READ])
///     .keyring(Keyring::generate())
///     .endpoints(fake.endpoints())
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub struct FakeWebflow {
    address: SocketAddr,
    endpoints: Endpoints,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl FakeWebflow {
    /// A stand-in with every default: no redirect URI is registered yet.
    ///
    /// # Errors
    /// When no port of loopback can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The settings, one by one.
    pub fn builder() -> FakeWebflowBuilder {
        FakeWebflowBuilder {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: State::new(),
        }
    }

    /// The address, without a slash at the end: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The endpoints, for the layer's builder.
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    /// The app's client id.
    pub fn client_id(&self) -> String {
        self.state().client_id.clone()
    }

    /// The app's client secret.
    pub fn client_secret(&self) -> String {
        self.state().client_secret.clone()
    }

    /// Registers one more redirect URI, as in the app's settings at Webflow.
    pub fn register_redirect_uri(&self, uri: impl Into<String>) {
        self.state().redirect_uris.push(uri.into());
    }

    /// The consent link without state, as the dashboard and the Marketplace have it.
    pub fn install_url(&self) -> String {
        let state = self.state();
        let mut url = self.endpoints.authorize().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &state.client_id)
            .append_pair("scope", &state.scopes.to_string());
        if let Some(uri) = state.redirect_uris.first() {
            url.query_pairs_mut().append_pair("redirect_uri", uri);
        }
        url.into()
    }

    /// Plays a user who presses Authorize for every site: the address that the browser is sent
    /// to, with `code` and `state`. `None` when Webflow would show an error page instead.
    pub fn approve(&self, authorize_url: &str) -> Option<Url> {
        authorize::decide(&mut self.state(), authorize_url, authorize::Decision::Allow(None))
    }

    /// Plays a user who presses Cancel.
    pub fn deny(&self, authorize_url: &str) -> Option<Url> {
        authorize::decide(&mut self.state(), authorize_url, authorize::Decision::Cancel)
    }

    /// Lets the next request to an endpoint fail.
    pub fn fail_next(&self, endpoint: FakeEndpoint, fault: Fault) {
        self.state().faults.plant(endpoint, fault, Some(1));
    }

    /// Lets every request to an endpoint fail until [`heal`](Self::heal).
    pub fn fail_always(&self, endpoint: FakeEndpoint, fault: Fault) {
        self.state().faults.plant(endpoint, fault, None);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Ends every token, as when the user uninstalls the app.
    pub fn revoke_everything(&self) {
        self.state().tokens.clear();
    }

    /// How many tokens are alive.
    pub fn live_tokens(&self) -> usize {
        self.state().tokens.len()
    }

    /// How many tokens were ever issued.
    pub fn issued_tokens(&self) -> usize {
        self.state().issued
    }

    /// Takes scopes off every token that is alive, as when the app's settings shrink.
    pub fn shrink_scopes(&self, to: impl IntoIterator<Item = Scope>) {
        let to: Scopes = to.into_iter().collect();
        for token in self.state().tokens.values_mut() {
            token.scopes = token.scopes.iter().filter(|it| to.contains(it)).cloned().collect();
        }
    }

    /// An ID token as `webflow.getIdToken()` gives it to a Designer Extension; it can be resolved
    /// for 15 minutes.
    pub fn id_token(&self) -> String {
        let token = secret();
        let mut state = self.state();
        let now = state.clock.now();
        state.id_tokens.insert(token.clone(), now);
        token
    }

    /// Everything that was asked, oldest first.
    pub fn log(&self) -> Vec<RecordedRequest> {
        self.state().log.clone()
    }

    /// What was asked of one path, oldest first.
    pub fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        self.state().log.iter().filter(|request| request.path == path).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for FakeWebflow {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for FakeWebflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWebflow").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The settings of a [`FakeWebflow`].
#[must_use = "`start` starts the server"]
pub struct FakeWebflowBuilder {
    address: SocketAddr,
    state: State,
}

impl FakeWebflowBuilder {
    /// Where to listen; the default is a free port of 127.0.0.1.
    pub const fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The app's client id; the default is random.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.state.client_id = id.into();
        self
    }

    /// The app's client secret; the default is random.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.state.client_secret = secret.into();
        self
    }

    /// Registers a redirect URI; may be called more than once.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.state.redirect_uris.push(uri.into());
        self
    }

    /// The scopes in the app's settings; the default is all that Webflow documents.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.state.scopes = scopes.into_iter().collect();
        self
    }

    /// The user's sites; the default is three in one workspace and one in another.
    pub fn sites(mut self, sites: impl IntoIterator<Item = FakeSite>) -> Self {
        self.state.sites = sites.into_iter().collect();
        self
    }

    /// Calls per token and minute; the default is 60, as on Webflow's smaller plans.
    pub const fn rate_limit(mut self, per_minute: u32) -> Self {
        self.state.rate_limit = per_minute;
        self
    }

    /// Where the time is read, for codes that grow old.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.state.clock = clock;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(self) -> io::Result<FakeWebflow> {
        let listener = TcpListener::bind(self.address).await?;
        let address = listener.local_addr()?;
        let endpoints = Endpoints::at(&format!("http://{address}")).map_err(io::Error::other)?;
        let state = Arc::new(Mutex::new(self.state));
        let server = tokio::spawn(server::run(listener, Arc::clone(&state)));
        Ok(FakeWebflow { address, endpoints, state, server })
    }
}

impl fmt::Debug for FakeWebflowBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWebflowBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A random value that stands for a code or a token.
fn secret() -> String {
    random::token_256()
}

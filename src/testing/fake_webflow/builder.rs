//! Configures the fake Webflow.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::FakeWebflow;
use super::ids::{Ids, id_from};
use super::server;
use super::state::{App, FakeState, Settings, User};
use super::workspaces::Workspace;
use crate::grant::scope::{Scope, Scopes};
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// Requests per minute and token on Webflow's smaller plans. Source: Webflow Data API, *Rate
/// Limits*.
const REQUESTS_PER_MINUTE: u32 = 60;

/// Builds a [`FakeWebflow`]. Every setting has a default.
///
/// ```
/// # #[tokio::main] async fn main() -> std::io::Result<()> {
/// use tower_webflow_auth::{Scope, testing::FakeWebflow};
///
/// let webflow = FakeWebflow::builder()
///     .client_id("my-app")
///     .redirect_uri("http://127.0.0.1:3000/auth/webflow/callback")
///     .scopes([Scope::SITES_READ, Scope::CMS_READ])
///     .workspace("Acme", ["Shop", "Blog"])
///     .start()
///     .await?;
/// assert_eq!(webflow.workspaces()[0].sites().len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "call `start` to run the server"]
pub struct FakeWebflowBuilder {
    addr: SocketAddr,
    app_name: String,
    application_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    redirect_uris: Vec<String>,
    scopes: Scopes,
    workspaces: Vec<Workspace>,
    user: (String, String, String),
    requests_per_minute: u32,
    clock: Clock,
}

impl Default for FakeWebflowBuilder {
    fn default() -> Self {
        let user = ("ada@example.com", "Ada", "Lovelace");
        Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            app_name: "Example App".to_owned(),
            application_id: None,
            client_id: None,
            client_secret: None,
            redirect_uris: Vec::new(),
            scopes: Scope::DOCUMENTED.iter().cloned().collect(),
            workspaces: Vec::new(),
            user: (user.0.to_owned(), user.1.to_owned(), user.2.to_owned()),
            requests_per_minute: REQUESTS_PER_MINUTE,
            clock: Clock::system(),
        }
    }
}

impl FakeWebflowBuilder {
    /// Sets the listen address, which must be loopback. The default is a free port on 127.0.0.1.
    pub fn addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Sets the app's name on the consent page. The default is `Example App`.
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = name.into();
        self
    }

    /// Sets the app's ID in introspection responses, 24 hexadecimal digits, which differs from the
    /// client ID. The default is random.
    pub fn application_id(mut self, id: impl Into<String>) -> Self {
        self.application_id = Some(id.into());
        self
    }

    /// Sets the app's client ID. The default is random.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Sets the app's client secret. The default is random.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(secret.into().into());
        self
    }

    /// Registers a redirect URI, compared exactly. Repeatable. The default is none.
    ///
    /// [`FakeWebflow::register_redirect_uri`] does the same on a running server, for tests that
    /// learn their port late.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Sets the scopes that the app is registered with. The default is every documented scope.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// Adds a workspace with these sites. Repeatable. The default is `Acme` with `Shop` and `Blog`,
    /// and `Globex` with `Home`.
    pub fn workspace<S: Into<String>>(
        mut self,
        name: &str,
        sites: impl IntoIterator<Item = S>,
    ) -> Self {
        let sites = sites.into_iter().map(Into::into);
        self.workspaces.push(Workspace::new(name, sites));
        self
    }

    /// Sets the user who authorizes. The default is Ada Lovelace, `ada@example.com`.
    pub fn user(
        mut self,
        email: impl Into<String>,
        first_name: impl Into<String>,
        last_name: impl Into<String>,
    ) -> Self {
        self.user = (email.into(), first_name.into(), last_name.into());
        self
    }

    /// Sets the Data API's rate limit in requests per minute and token. The default is 60.
    pub fn rate_limit(mut self, requests_per_minute: u32) -> Self {
        self.requests_per_minute = requests_per_minute;
        self
    }

    /// Sets the clock for codes, ID tokens and rate limits. The default is the system clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the server on the current Tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound or is not loopback ([`io::ErrorKind::InvalidInput`]), or the
    /// system has no randomness.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<FakeWebflow> {
        let ids = Ids::new()?;
        let listener = TcpListener::bind(self.addr).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let endpoints = Endpoints::at(&base_url)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let workspaces = if self.workspaces.is_empty() {
            let sites = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (acme, globex): (Vec<_>, Vec<_>) = (sites(&["Shop", "Blog"]), sites(&["Home"]));
            vec![Workspace::new("Acme", acme), Workspace::new("Globex", globex)]
        } else {
            self.workspaces
        };
        let (email, first_name, last_name) = self.user;
        let client_id = self.client_id.unwrap_or_else(|| ids.secret());
        let fake = Arc::new(FakeState {
            app: App {
                name: self.app_name,
                id: self.application_id.unwrap_or_else(|| id_from(&["application", &client_id])),
                client_id,
                client_secret: self.client_secret.unwrap_or_else(|| ids.secret().into()),
                scopes: self.scopes,
            },
            user: User { id: id_from(&["user", &email]), email, first_name, last_name },
            workspaces,
            started_at: self.clock.now(),
            clock: self.clock,
            endpoints,
            ids,
            settings: Mutex::new(Settings {
                redirect_uris: self.redirect_uris,
                scope_shape: super::ScopeShape::default(),
                error_shape: super::ErrorShape::default(),
                list_shape: super::ListShape::default(),
                requests_per_minute: self.requests_per_minute,
            }),
            issued: Mutex::default(),
            cms: Mutex::default(),
            pages: Mutex::default(),
            submissions: Mutex::default(),
            assets: Mutex::default(),
            published: Mutex::default(),
            #[cfg(feature = "webhooks")]
            webhooks: Mutex::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
            logged: Notify::new(),
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&fake)));
        Ok(FakeWebflow { base_url, fake, server })
    }
}

impl fmt::Debug for FakeWebflowBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWebflowBuilder")
            .field("addr", &self.addr)
            .field("client_id", &self.client_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("scopes", &self.scopes)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

//! The builder of the layer.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{CacheConfig, ConfigError, ConfigProblem};
#[cfg(feature = "panels")]
use crate::bearer::PanelSettings;
use crate::crypto::keyring::Keyring;
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::scope::{Scope, Scopes};
use crate::hooks::Hooks;
use crate::identity::SubjectSource;
use crate::middleware::WebflowAuthLayer;
use crate::store::{ErasedStore, MemoryStore, TokenStore};
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

pub(super) const LOGIN_PATH: &str = "/auth/webflow/login";
pub(super) const LOGOUT_PATH: &str = "/auth/webflow/logout";
const FLOW_LIFETIME: Duration = Duration::from_secs(15 * 60);
const SESSION_MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const TIMEOUT: Duration = Duration::from_secs(10);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_CALLBACKS: usize = 256;

/// Builds a [`WebflowAuthLayer`].
///
/// The client ID and secret, the redirect URI, at least one scope and a key ring are required.
/// Everything else has a default. [`build`](Self::build) validates all settings together.
///
/// ```
/// use std::time::Duration;
/// use tower_webflow_auth::{GrantPolicy, Keyring, Scope, WebflowAuthLayer};
///
/// # fn run() -> Result<(), tower_webflow_auth::ConfigError> {
/// let auth = WebflowAuthLayer::builder()
///     .client_id("client id")
///     .client_secret("client secret")
///     .redirect_uri("https://app.example.com/auth/webflow/callback")
///     .scopes([Scope::SITES_READ, Scope::CMS_READ])
///     .keyring(Keyring::from_base64(&Keyring::generate_base64())?)
///     .login_path("/connect")
///     .session_lifetime(Duration::from_secs(7 * 24 * 60 * 60))
///     .grants(GrantPolicy::PerWorkspace)
///     .build()?;
/// assert_eq!(auth.login_path(), Some("/connect"));
/// # Ok(())
/// # }
/// # run().unwrap();
/// ```
#[must_use = "call `build` to create the layer"]
pub struct WebflowAuthBuilder {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<SecretString>,
    pub(super) redirect_uri: Option<String>,
    pub(super) name: Option<String>,
    pub(super) application_id: Option<String>,
    pub(super) scopes: Scopes,
    pub(super) further_scopes: Scopes,
    pub(super) keyring: Option<Keyring>,
    pub(super) endpoints: Endpoints,
    pub(super) store: Option<Arc<dyn ErasedStore>>,
    /// Whether the store is lost with the process.
    pub(super) volatile: bool,
    pub(super) http: Option<reqwest::Client>,
    pub(super) subjects: SubjectSource,
    pub(super) sign_in_at: Option<String>,
    pub(super) login_path: Option<String>,
    pub(super) logout_path: Option<String>,
    pub(super) flow_lifetime: Duration,
    pub(super) session_lifetime: Duration,
    pub(super) session_max_lifetime: Duration,
    pub(super) timeout: Duration,
    pub(super) store_timeout: Duration,
    pub(super) max_callbacks: usize,
    pub(super) introspect: bool,
    pub(super) cache: CacheConfig,
    pub(super) insecure_in_frames: bool,
    pub(super) grants: GrantPolicy,
    pub(super) selection: Selection,
    pub(super) hooks: Hooks,
    pub(super) clock: Clock,
    /// Secrets besides the client secret that sign webhooks, each with the setting it came from.
    #[cfg(feature = "webhooks")]
    pub(super) webhook_secrets: Vec<(&'static str, SecretString)>,
    #[cfg(feature = "panels")]
    pub(super) panels: PanelSettings,
    /// Problems found while parsing environment variables.
    pub(super) problems: Vec<ConfigProblem>,
}

impl WebflowAuthLayer {
    /// Returns a builder with the default settings.
    pub fn builder() -> WebflowAuthBuilder {
        WebflowAuthBuilder::new()
    }

    /// Returns a builder filled from environment variables: `WEBFLOW_CLIENT_ID`, `WEBFLOW_CLIENT_SECRET`,
    /// `WEBFLOW_REDIRECT_URI`, `WEBFLOW_SCOPES` (separated by spaces or commas),
    /// `WEBFLOW_AUTH_KEY`, `WEBFLOW_APP_ID` (optional), and `WEBFLOW_BASE_URL` for a fake Webflow.
    ///
    /// Settings can still be changed before [`build`](WebflowAuthBuilder::build), which reports
    /// every missing or malformed variable.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable is not valid Unicode.
    pub fn from_env() -> Result<WebflowAuthBuilder, ConfigError> {
        WebflowAuthBuilder::from_env()
    }
}

impl WebflowAuthBuilder {
    pub(crate) fn new() -> Self {
        Self {
            client_id: None,
            client_secret: None,
            redirect_uri: None,
            name: None,
            application_id: None,
            scopes: Scopes::default(),
            further_scopes: Scopes::default(),
            keyring: None,
            endpoints: Endpoints::webflow(),
            store: None,
            volatile: true,
            http: None,
            subjects: SubjectSource::Session,
            sign_in_at: None,
            login_path: Some(LOGIN_PATH.to_owned()),
            logout_path: Some(LOGOUT_PATH.to_owned()),
            flow_lifetime: FLOW_LIFETIME,
            session_lifetime: SESSION_LIFETIME,
            session_max_lifetime: SESSION_MAX_LIFETIME,
            timeout: TIMEOUT,
            store_timeout: STORE_TIMEOUT,
            max_callbacks: MAX_CALLBACKS,
            introspect: true,
            cache: CacheConfig::new(),
            insecure_in_frames: false,
            grants: GrantPolicy::Single,
            selection: Selection::default(),
            hooks: Hooks::default(),
            clock: Clock::system(),
            #[cfg(feature = "webhooks")]
            webhook_secrets: Vec::new(),
            #[cfg(feature = "panels")]
            panels: PanelSettings::default(),
            problems: Vec::new(),
        }
    }

    /// Sets the app's client ID, from its settings at Webflow. Required.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Sets the app's client secret, from its settings at Webflow. Required.
    pub fn client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// Sets the redirect URI, exactly as registered at Webflow. Required.
    ///
    /// Its path becomes the callback path. It must use https; plain http is accepted on loopback
    /// only, where cookies then have neither `Secure` nor the `__Host-` prefix.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// Sets a name for this app, which separates it from others on the same host. The default is
    /// none.
    ///
    /// It has 1 to 32 characters of `a-z`, `0-9` and `-`. Two layers with different names share a
    /// host, a key ring and a store without seeing each other's cookies and grants: the name is
    /// part of the cookies' names (`__Host-webflow.staging.session`), and together with the client
    /// ID it is part of every stored grant's key. After changing the name there are no sessions and
    /// no grants, until it is changed back.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let staging = WebflowAuthLayer::builder().name("staging");
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the app's ID at Webflow, 24 hex digits, which differs from its client ID. Only
    /// [`import`](crate::WebflowAuthHandle::import) needs it. By default it is learned from the
    /// first login.
    pub fn application_id(mut self, id: impl Into<String>) -> Self {
        self.application_id = Some(id.into());
        self
    }

    /// Sets the scopes to request, each of which the app's settings at Webflow must include.
    /// Required.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// Sets further scopes that a link to the login path may request, in addition to
    /// [`scopes`](Self::scopes) and to those of layers with
    /// [`require_scopes`](WebflowAuthLayer::require_scopes).
    ///
    /// Anyone can create such a link, so other scopes are rejected with 400.
    pub fn further_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.further_scopes = scopes.into_iter().collect();
        self
    }

    /// Sets the keys that encrypt tokens and protect cookies. Required.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// Sets the token store. The default is a [`MemoryStore`], which loses all tokens with the
    /// process and logs a warning.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.volatile = is_in_memory(&store);
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets Webflow's addresses. The default is [`Endpoints::webflow`].
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// Sets the time limit of one call to Webflow, connecting included. The default is 10 seconds.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time limit of one store operation, after which the response is 503. The default is
    /// 5 seconds.
    pub const fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets how many callbacks, and how many logouts, are processed concurrently. The default is
    /// 256 of each.
    ///
    /// Further ones get a 503 with `Retry-After`, callbacks before their code is used, so the
    /// browser can retry. This limits the load that unauthenticated clients can cause.
    pub const fn max_callbacks(mut self, callbacks: usize) -> Self {
        self.max_callbacks = callbacks;
        self
    }

    /// Sets the read cache in front of the store. The default is [`CacheConfig::new`].
    pub const fn cache(mut self, cache: CacheConfig) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the reqwest 0.13 client for calls to Webflow, for custom proxy or TLS settings.
    ///
    /// # Security
    /// The client must not follow redirects: they would forward the client secret.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// Sets the clock. The default is the system clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

fn is_in_memory(store: &dyn Any) -> bool {
    store.is::<MemoryStore>() || store.is::<Arc<MemoryStore>>()
}

impl fmt::Debug for WebflowAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowAuthBuilder")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes.to_string())
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

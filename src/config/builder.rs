//! The builder of the layer.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use http::request::Parts;
use secrecy::{ExposeSecret, SecretString};

use super::CacheConfig;
use super::redirect_uri::RedirectUri;
use super::{ConfigError, ConfigProblem};
use crate::api::ApiClient;
#[cfg(feature = "panels")]
use crate::bearer::{PanelSettings, Panels};
use crate::context::Context;
use crate::context::pending::PendingFlows;
use crate::crypto::keyring::Keyring;
#[cfg(feature = "webhooks")]
use crate::delivery::{Webhooks, secrets, secrets::Secrets};
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::scope::{Scope, Scopes};
use crate::grant::state::TokenStates;
use crate::grant::token::WebflowToken;
use crate::hooks::{AuthFailure, Gone, Hooks, NewGrant, Next};
use crate::identity::SubjectSource;
use crate::identity::app::AppId;
use crate::identity::resolver::SubjectResolver;
use crate::identity::session_cookie::Sliding;
use crate::identity::sign_in::SignIn;
use crate::identity::subject::Subject;
use crate::middleware::WebflowAuthLayer;
use crate::store::{ErasedStore, MemoryStore, TokenStore};
use crate::util::background::Tasks;
use crate::util::clock::Clock;
use crate::util::log;
use crate::vault::cache::Cache;
use crate::vault::{Vault, Watcher, WriteLocks};
use crate::webflow::Endpoints;
use crate::webflow::{ApplicationId, WebflowClient};
use crate::wire::cookies::CookiePolicy;
use crate::wire::paths::Paths;

const LOGIN_PATH: &str = "/auth/webflow/login";
const LOGOUT_PATH: &str = "/auth/webflow/logout";
const FLOW_LIFETIME: Duration = Duration::from_secs(15 * 60);
const SESSION_MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const TIMEOUT: Duration = Duration::from_secs(10);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_CALLBACKS: usize = 256;

/// Minimum number of tokens whose state (dead or outdated) is remembered.
const MIN_TOKEN_STATES: usize = 4096;

/// Idle connections kept per Webflow host. Without a limit, a burst of sign-ins would leave one
/// open per callback.
const MAX_IDLE_CONNECTIONS: usize = 32;

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
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    redirect_uri: Option<String>,
    name: Option<String>,
    application_id: Option<String>,
    scopes: Scopes,
    further_scopes: Scopes,
    keyring: Option<Keyring>,
    endpoints: Endpoints,
    store: Option<Arc<dyn ErasedStore>>,
    /// Whether the store is lost with the process.
    volatile: bool,
    http: Option<reqwest::Client>,
    subjects: SubjectSource,
    sign_in_at: Option<String>,
    login_path: Option<String>,
    logout_path: Option<String>,
    flow_lifetime: Duration,
    session_lifetime: Duration,
    session_max_lifetime: Duration,
    timeout: Duration,
    store_timeout: Duration,
    max_callbacks: usize,
    introspect: bool,
    cache: CacheConfig,
    insecure_in_frames: bool,
    grants: GrantPolicy,
    selection: Selection,
    hooks: Hooks,
    clock: Clock,
    /// Secrets besides the client secret that sign webhooks, each with the setting it came from.
    #[cfg(feature = "webhooks")]
    webhook_secrets: Vec<(&'static str, SecretString)>,
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
    /// `WEBFLOW_AUTH_KEY`, and `WEBFLOW_BASE_URL` for a fake Webflow.
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

    /// Ties grants to your application's users instead of to a session cookie.
    ///
    /// The closure gets the request's head, including extensions set by outer middleware. `None`
    /// means that nobody is signed in to the application; the request is answered with 401.
    ///
    /// ```
    /// # use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken};
    /// #[derive(Clone)]
    /// struct User { id: u64 }
    ///
    /// let builder = WebflowAuthLayer::builder()
    ///     .subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(user.id)));
    /// ```
    pub fn subject(
        mut self,
        subject_of: impl Fn(&Parts) -> Option<Subject> + Send + Sync + 'static,
    ) -> Self {
        self.subjects = SubjectSource::Application(Arc::new(subject_of));
        self
    }

    /// Like [`subject`](Self::subject), for a lookup that is asynchronous or may fail.
    pub fn subject_resolver(mut self, resolver: impl SubjectResolver) -> Self {
        self.subjects = SubjectSource::Resolver(Arc::new(resolver));
        self
    }

    /// Sets the application's sign-in page, for browsers in which nobody is signed in. The default is
    /// none.
    ///
    /// It is a path of this origin and may have a query. A navigation to a protected route is then
    /// sent to it, with the route in `next`: `/login?next=%2Fdashboard`. Programs get a 401 whose
    /// `login_url` names the same address. After the sign-in, redirect to `next`; check that it is a
    /// path first, since anybody can make such a link.
    ///
    /// The login path then also works where nobody is signed in, as Webflow's Marketplace expects of
    /// an Install URL. Webflow's answer waits in the browser, encrypted, until a user has signed in
    /// there, for 15 minutes at most; nothing is stored before. Without it a browser in which nobody
    /// is signed in gets a 401.
    ///
    /// Needs [`subject`](Self::subject) or [`subject_resolver`](Self::subject_resolver).
    ///
    /// ```
    /// # use tower_webflow_auth::{Subject, WebflowAuthLayer};
    /// # #[derive(Clone)] struct User { id: u64 }
    /// let builder = WebflowAuthLayer::builder()
    ///     .subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(user.id)))
    ///     .sign_in_at("/login");
    /// ```
    pub fn sign_in_at(mut self, path: impl Into<String>) -> Self {
        self.sign_in_at = Some(path.into());
        self
    }

    /// Sets the path that starts a login, or disables it with `None`. The default is
    /// `/auth/webflow/login`. When disabled, the `login_url` in 401 responses is the page itself.
    pub fn login_path<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.login_path = path.into().map(str::to_owned);
        self
    }

    /// Sets the path that ends a session, or disables it with `None`. The default is
    /// `/auth/webflow/logout`.
    pub fn logout_path<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.logout_path = path.into().map(str::to_owned);
        self
    }

    /// Sets the time limit of a login flow. The default is 15 minutes, the lifetime of Webflow's
    /// codes.
    pub const fn flow_lifetime(mut self, lifetime: Duration) -> Self {
        self.flow_lifetime = lifetime;
        self
    }

    /// Sets how long a browser session lasts after its last use. The default is 30 days.
    ///
    /// Sessions are sliding: a page load renews the cookie if that extends the session by at least
    /// a day, up to [`session_max_lifetime`](Self::session_max_lifetime). Responses that shared
    /// caches may store do not renew it. Active users are therefore not sent to Webflow again,
    /// which Webflow's Marketplace review expects.
    pub const fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// Sets how long a browser session lasts at most, from its login. The default is 365 days.
    pub const fn session_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_max_lifetime = lifetime;
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

    /// Sets whether the callback asks Webflow which sites and workspaces the grant covers. The
    /// default is true. A failed lookup does not fail the login.
    ///
    /// When disabled, [`sites`](WebflowToken::sites) and [`workspaces`](WebflowToken::workspaces)
    /// stay empty, lookups by site and workspace find nothing, and [`GrantPolicy::PerWorkspace`]
    /// adds a grant with every login.
    pub const fn introspect(mut self, introspect: bool) -> Self {
        self.introspect = introspect;
        self
    }

    /// Sends the cookies in frames on other sites too, such as Webflow's Designer, with
    /// `SameSite=None; Partitioned`. The default is false. Requires https.
    ///
    /// Browsers partition such cookies by the embedding site, so a frame does not see a login from
    /// a pop-up or tab. Consent cannot be given inside a frame: open the login path in a separate
    /// window, and identify the frame's user with an ID token. The feature `panels` does both
    /// without cookies.
    ///
    /// # Security
    /// Requests caused by other sites then carry the session cookie. Every handler that changes
    /// something must check `Origin` or `Sec-Fetch-Site`. The crate's own paths do.
    pub const fn insecure_cookies_in_frames(mut self, in_frames: bool) -> Self {
        self.insecure_in_frames = in_frames;
        self
    }

    /// Sets whether a new grant replaces the previous one. The default is [`GrantPolicy::Single`].
    pub const fn grants(mut self, policy: GrantPolicy) -> Self {
        self.grants = policy;
        self
    }

    /// Selects one of several grants for a request. The default is the newest. The grants are
    /// sorted newest first; returning `None` means that the request has no grant.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder().select_grant(|parts, grants| {
    ///     let wanted = parts.headers.get("x-workspace")?.to_str().ok()?;
    ///     grants.iter().find(|grant| grant.workspaces().iter().any(|it| it == wanted)).cloned()
    /// });
    /// ```
    pub fn select_grant(
        mut self,
        select: impl Fn(&Parts, &[WebflowToken]) -> Option<WebflowToken> + Send + Sync + 'static,
    ) -> Self {
        self.selection = Selection(Some(Arc::new(select)));
        self
    }

    /// Runs after a grant was stored and before the browser goes on: for provisioning.
    ///
    /// It may send the browser elsewhere ([`Next::redirect`]) or refuse the grant with an error. Then
    /// the new token is revoked, the store is as it was before, the user sees the problem
    /// `hook-refused`, and no session begins. A panic is logged and counts as [`Next::Continue`], and
    /// so does taking longer than 10 seconds.
    ///
    /// It runs once for each grant, also when a callback is repeated; another instance that gets the
    /// repeated callback sends the browser to the flow's page. It does not run for
    /// [`import`](crate::WebflowAuthHandle::import).
    ///
    /// ```
    /// # use tower_webflow_auth::{Next, WebflowAuthLayer};
    /// # async fn provision(_: &[String]) -> Result<(), std::io::Error> { Ok(()) }
    /// let builder = WebflowAuthLayer::builder().on_authorized(|new| async move {
    ///     provision(new.new_sites()).await?;
    ///     Ok(if new.is_first() { Next::redirect("/welcome") } else { Next::Continue })
    /// });
    /// ```
    pub fn on_authorized<F>(mut self, hook: impl Fn(NewGrant) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Next, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.hooks.authorized = Some(Arc::new(move |new| Box::pin(hook(new))));
        self
    }

    /// Called with each error response of the crate, on its own paths and on guarded routes. A
    /// returned response replaces it.
    ///
    /// Not called for the 401s `login-required` and `token-refused`, for `method-not-allowed`,
    /// `prefetch`, `token-replaced` and `misplaced-endpoints`, or for responses of handlers and
    /// extractors.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder().on_error(|error| {
    ///     eprintln!("{}: {}", error.kind(), error.detail());
    ///     None
    /// });
    /// ```
    pub fn on_error(
        mut self,
        hook: impl Fn(&AuthFailure) -> Option<http::Response<bytes::Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.error = Some(Arc::new(hook));
        self
    }

    /// Runs for each grant that has gone from the store, once, after it went.
    ///
    /// [`Gone::why`] tells a sign-out from an uninstall: Webflow reports neither. No response waits
    /// for it; [`shutdown`](WebflowAuthLayer::shutdown) does. A panic is logged, and so is taking
    /// longer than 10 seconds.
    ///
    /// Grants that another instance removes are reported there. Two instances that replace the same
    /// grant at the same moment both report it. Grants that
    /// [`purge_older_than`](crate::WebflowAuthHandle::purge_older_than) removes are not reported.
    ///
    /// ```
    /// # use tower_webflow_auth::{WebflowAuthLayer, Why};
    /// # async fn stop_jobs(_: &[String]) {}
    /// let builder = WebflowAuthLayer::builder().on_revoked(|gone| async move {
    ///     if gone.why() != Why::Replaced {
    ///         stop_jobs(gone.token().sites()).await;
    ///     }
    /// });
    /// ```
    pub fn on_revoked<F>(mut self, hook: impl Fn(Gone) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.revoked = Some(Arc::new(move |gone| Box::pin(hook(gone))));
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

    /// A former client secret, by which [`webhooks`](WebflowAuthLayer::webhooks) verifies as well
    /// while Webflow still signs with it. Repeatable; default none. It is not used for anything
    /// else.
    ///
    /// [`build`](Self::build) refuses one of fewer than 16 bytes.
    #[cfg(feature = "webhooks")]
    pub fn previous_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(("previous_client_secret", secret.into()));
        self
    }

    /// The `secretKey` of a webhook that was created with a site's API token, which its creation's
    /// answer shows once. Counts on every route behind
    /// [`webhooks`](WebflowAuthLayer::webhooks). Repeatable; default none.
    ///
    /// [`build`](Self::build) refuses one of fewer than 16 bytes.
    #[cfg(feature = "webhooks")]
    pub fn webhook_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(("webhook_secret", secret.into()));
        self
    }

    pub(super) fn scopes_from_text(mut self, scopes: &str) -> Self {
        match scopes.parse::<Scopes>() {
            Ok(scopes) => self.scopes(scopes),
            Err(error) => {
                self.problems.extend(error.into_problems().into_iter().map(as_scopes_problem));
                self
            }
        }
    }

    pub(super) fn keyring_from_text(mut self, keys: &str) -> Self {
        match Keyring::from_base64(keys) {
            Ok(keyring) => self.keyring(keyring),
            Err(error) => {
                self.problems.extend(error.into_problems());
                self
            }
        }
    }

    pub(super) fn endpoints_from_text(mut self, base: &str) -> Self {
        match Endpoints::at(base) {
            Ok(endpoints) => self.endpoints(endpoints),
            Err(error) => {
                self.problems.extend(error.into_problems());
                self
            }
        }
    }

    /// Validates the settings and creates the layer.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found.
    pub fn build(mut self) -> Result<WebflowAuthLayer, ConfigError> {
        let mut problems = std::mem::take(&mut self.problems);
        let Some(required) = self.check(&mut problems) else {
            return Err(ConfigError::from_problems(problems));
        };
        let Required { keyring, client_id, client_secret, redirect_uri, http } = required;
        let store = self.store.unwrap_or_else(|| {
            tracing::warn!(
                target: log::CONFIG,
                "tokens are kept in memory only and are lost with the process; \
                 set a store with WebflowAuthBuilder::store"
            );
            Arc::new(MemoryStore::new().with_clock(self.clock.clone()))
        });
        #[cfg(feature = "webhooks")]
        let webhooks = {
            let others = self.webhook_secrets.into_iter().map(|(_, secret)| secret).collect();
            Webhooks::new(Secrets::new(client_secret.clone(), others))
        };
        let (http_api, clock) = (http.clone(), self.clock.clone());
        let api = ApiClient::new(
            http_api,
            self.endpoints.clone(),
            client_id.clone(),
            self.timeout,
            clock,
        );
        let tasks = Tasks::default();
        let mut cookies = CookiePolicy::new(redirect_uri.secure).in_frames(self.insecure_in_frames);
        if let Some(name) = &self.name {
            cookies = cookies.named(name);
        }
        Ok(WebflowAuthLayer::new(Context {
            vault: Arc::new(Vault {
                app: AppId::new(self.name.as_deref(), &client_id),
                store,
                keyring: keyring.clone(),
                clock: self.clock.clone(),
                client: Arc::new(api),
                budget: self.store_timeout,
                cache: Arc::new(Cache::new(&self.cache)),
                watcher: Watcher::default(),
                grants: self.grants,
                last_version: AtomicI64::new(0),
                failed_at: AtomicU64::new(0),
                configured: self.scopes.clone(),
                locks: WriteLocks::default(),
                states: TokenStates::new(self.cache.capacity.max(MIN_TOKEN_STATES)),
                introspect: self.introspect,
                tasks: tasks.clone(),
            }),
            session_binding: format!("{}\0{client_id}\0", cookies.session_name()),
            webflow: Arc::new(WebflowClient {
                http,
                endpoints: self.endpoints,
                client_id,
                client_secret,
                redirect_uri: redirect_uri.text,
                budget: self.timeout,
            }),
            pending: PendingFlows::new(tasks.clone(), self.max_callbacks),
            logouts: Arc::new(tokio::sync::Semaphore::new(self.max_callbacks)),
            tasks,
            keyring,
            clock: self.clock,
            cookies,
            paths: Paths {
                callback: redirect_uri.path,
                login: self.login_path,
                logout: self.logout_path,
            },
            origin: redirect_uri.origin,
            scopes: self.scopes,
            further_scopes: RwLock::new(self.further_scopes),
            host_warned: AtomicBool::new(false),
            subjects: self.subjects,
            sign_in: self.sign_in_at.as_deref().and_then(SignIn::new),
            flow_lifetime: self.flow_lifetime,
            sliding: Sliding {
                lifetime: self.session_lifetime.as_secs(),
                max_lifetime: self.session_max_lifetime.as_secs(),
            },
            volatile: self.volatile,
            selection: self.selection,
            application: ApplicationId::new(self.application_id),
            hooks: self.hooks,
            #[cfg(feature = "webhooks")]
            webhooks,
            #[cfg(feature = "panels")]
            panels: Panels::new(self.panels, self.cache.capacity),
        }))
    }
}

/// The required settings, validated.
struct Required {
    keyring: Keyring,
    client_id: String,
    client_secret: SecretString,
    redirect_uri: RedirectUri,
    http: reqwest::Client,
}

impl WebflowAuthBuilder {
    /// Finds every problem not already known. Returns `None` if there is any.
    fn check(&mut self, problems: &mut Vec<ConfigProblem>) -> Option<Required> {
        let named = |problems: &[ConfigProblem], setting: &str| {
            problems.iter().any(|problem| problem.setting().starts_with(setting))
        };
        let keyring = self.keyring.take();
        if keyring.is_none() && !named(problems, "keyring") {
            problems.push(missing(
                "keyring (WEBFLOW_AUTH_KEY)",
                "create a key with `openssl rand -base64 32` and keep it secret",
            ));
        }
        if self.scopes.is_empty() && !named(problems, "scope") {
            problems.push(missing(
                "scopes (WEBFLOW_SCOPES)",
                "set at least one of the app's scopes, for example sites:read",
            ));
        }
        let undocumented: Scopes =
            self.scopes.iter().filter(|it| !Scope::DOCUMENTED.contains(it)).cloned().collect();
        if !undocumented.is_empty() {
            tracing::warn!(
                target: log::CONFIG, scopes = undocumented.to_string(),
                "Webflow does not document these scopes: check their spelling in scopes (WEBFLOW_SCOPES)"
            );
        }
        let client_id = self.client_id.take().filter(|id| !id.trim().is_empty());
        if client_id.is_none() {
            let setting = "client_id (WEBFLOW_CLIENT_ID)";
            problems.push(missing(setting, "copy it from the app's settings at Webflow"));
        }
        let client_secret =
            self.client_secret.take().filter(|secret| !secret.expose_secret().trim().is_empty());
        if client_secret.is_none() {
            let setting = "client_secret (WEBFLOW_CLIENT_SECRET)";
            problems.push(missing(setting, "copy it from the app's settings at Webflow"));
        }
        let redirect_uri = match self.redirect_uri.as_deref() {
            None | Some("") => Err(missing(
                "redirect_uri (WEBFLOW_REDIRECT_URI)",
                "use the one registered in the app's settings at Webflow",
            )),
            Some(uri) => RedirectUri::parse(uri),
        };
        let redirect_uri = redirect_uri.map_err(|problem| problems.push(problem)).ok();
        if self.insecure_in_frames && redirect_uri.as_ref().is_some_and(|uri| !uri.secure) {
            problems.push(ConfigProblem::Invalid {
                setting: "insecure_cookies_in_frames",
                problem: "cannot work with plain http".to_owned(),
                remedy: "browsers accept such cookies over https only",
            });
        }
        let callback = redirect_uri.as_ref().map(|uri| uri.path.as_str());
        self.check_paths(callback, problems);
        self.check_sign_in(callback, problems);
        if self.name.as_deref().is_some_and(|name| !is_app_name(name)) {
            problems.push(ConfigProblem::Invalid {
                setting: "name",
                problem: "is no name for an app".to_owned(),
                remedy: "use 1 to 32 characters of a-z, 0-9 and -",
            });
        }
        self.check_durations(problems);
        #[cfg(feature = "webhooks")]
        problems.extend(self.webhook_secrets.iter().filter_map(|(setting, secret)| {
            let problem = secrets::problem(secret)?;
            Some(ConfigProblem::Invalid { setting, problem, remedy: secrets::REMEDY })
        }));
        let http = match self.http.take() {
            Some(client) => Some(client),
            None => client(&self.endpoints).map_err(|problem| problems.push(problem)).ok(),
        };
        if !problems.is_empty() {
            return None;
        }
        Some(Required {
            keyring: keyring?,
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            http: http?,
        })
    }

    fn check_sign_in(&self, callback: Option<&str>, problems: &mut Vec<ConfigProblem>) {
        let Some(path) = &self.sign_in_at else { return };
        let own = [callback, self.login_path.as_deref(), self.logout_path.as_deref()];
        let problem = match SignIn::new(path) {
            None => "is not a path of this origin",
            Some(page) if own.contains(&Some(page.path())) => "is one of the layer's own paths",
            Some(_) => {
                if matches!(self.subjects, SubjectSource::Session) {
                    tracing::warn!(
                        target: log::CONFIG,
                        "sign_in_at has no effect without subject or subject_resolver: browsers \
                         sign in with Webflow alone"
                    );
                }
                return;
            }
        };
        problems.push(ConfigProblem::Invalid {
            setting: "sign_in_at",
            problem: problem.to_owned(),
            remedy: "give the path of the application's sign-in page, for example /login",
        });
    }

    fn check_paths(&self, callback: Option<&str>, problems: &mut Vec<ConfigProblem>) {
        let (login, logout) = (self.login_path.as_deref(), self.logout_path.as_deref());
        let panel = self.panel_path_setting();
        let others = [
            ("login_path", login, [logout, panel]),
            ("logout_path", logout, [panel, None]),
            ("panel_path", panel, [None, None]),
        ];
        if callback == Some("/") {
            problems.push(home_page_problem("redirect_uri (WEBFLOW_REDIRECT_URI)"));
        }
        for (setting, path, later) in others {
            let Some(path) = path else { continue };
            if !is_normal_path(path) {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: "is not a path that browsers send unchanged".to_owned(),
                    remedy: "start with one slash; use ASCII without spaces and quotes, \
                             percent-encode the rest, and remove dot segments, query and \
                             fragment",
                });
            }
            if path == "/" {
                problems.push(home_page_problem(setting));
            }
            let is_callback = Some(path) == callback;
            // Whoever has not set it need not know it.
            if is_callback && (path == LOGIN_PATH || path == LOGOUT_PATH) {
                problems.push(ConfigProblem::Invalid {
                    setting: "redirect_uri (WEBFLOW_REDIRECT_URI)",
                    problem: format!("has the path of {setting}, {path}"),
                    remedy: "register another path at Webflow, for example \
                             /auth/webflow/callback, or change the other setting",
                });
            } else if is_callback || later.contains(&Some(path)) {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: "is the same as another endpoint's".to_owned(),
                    remedy: "give each endpoint its own path",
                });
            }
        }
    }

    /// The panel path, where panels are switched on.
    #[cfg(feature = "panels")]
    fn panel_path_setting(&self) -> Option<&str> {
        (!self.panels.origins.is_empty()).then_some(self.panels.path.as_str())
    }

    #[cfg(not(feature = "panels"))]
    #[expect(clippy::unused_self)]
    const fn panel_path_setting(&self) -> Option<&str> {
        None
    }

    fn check_durations(&self, problems: &mut Vec<ConfigProblem>) {
        if self.session_lifetime > self.session_max_lifetime {
            problems.push(ConfigProblem::Invalid {
                setting: "session_lifetime",
                problem: "is longer than session_max_lifetime".to_owned(),
                remedy: "give session_max_lifetime at least the same length",
            });
        }
        for (setting, duration) in [
            #[cfg(feature = "panels")]
            ("panel_lifetime", self.panels.lifetime),
            ("flow_lifetime", self.flow_lifetime),
            ("session_lifetime", self.session_lifetime),
            ("session_max_lifetime", self.session_max_lifetime),
            ("timeout", self.timeout),
            ("store_timeout", self.store_timeout),
        ] {
            // Cookie lifetimes are whole seconds.
            let shortest = if setting.ends_with("lifetime") { A_SECOND } else { Duration::ZERO };
            if duration.is_zero() || duration < shortest {
                problems.push(ConfigProblem::Invalid {
                    setting,
                    problem: format!("is {duration:?}"),
                    remedy: "use lifetimes of at least one second and timeouts above zero, \
                             or keep the default",
                });
            }
        }
    }
}

/// Whether the name can be part of a cookie's name.
fn is_app_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

fn is_in_memory(store: &dyn Any) -> bool {
    store.is::<MemoryStore>() || store.is::<Arc<MemoryStore>>()
}

const A_SECOND: Duration = Duration::from_secs(1);

/// Whether browsers send the path exactly as written. Request paths are compared byte for byte.
fn is_normal_path(path: &str) -> bool {
    let base = url::Url::parse("http://localhost").ok();
    let resolved = base.and_then(|base| base.join(path).ok());
    let unchanged = resolved
        .is_some_and(|url| url.path() == path && url.query().is_none() && url.fragment().is_none());
    unchanged && path.starts_with('/') && !path.starts_with("//") && !path.contains(['\'', '"'])
}

/// Attributes the problem of a single scope to the `scopes` setting.
fn as_scopes_problem(problem: ConfigProblem) -> ConfigProblem {
    match problem {
        ConfigProblem::Invalid { problem, remedy, .. } => {
            ConfigProblem::Invalid { setting: "scopes (WEBFLOW_SCOPES)", problem, remedy }
        }
        other @ ConfigProblem::Missing { .. } => other,
    }
}

/// A login without `return_to` ends at `/`, which must be a page.
fn home_page_problem(setting: &'static str) -> ConfigProblem {
    ConfigProblem::Invalid {
        setting,
        problem: "has the path /, the application's home page".to_owned(),
        remedy: "use another path, for example one below /auth/webflow/",
    }
}

fn missing(setting: &'static str, remedy: &'static str) -> ConfigProblem {
    ConfigProblem::Missing { setting, remedy }
}

/// The default client for Webflow. Requires https unless the endpoints are on loopback.
fn client(endpoints: &Endpoints) -> Result<reqwest::Client, ConfigProblem> {
    let https = endpoints.token().scheme() == "https";
    if https && cfg!(not(any(feature = "rustls", feature = "native-tls"))) {
        return Err(ConfigProblem::Missing {
            setting: "http_client",
            remedy: "without the features rustls and native-tls, set a client that supports https",
        });
    }
    crate::webflow::client_builder(endpoints.token())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .https_only(https)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ConfigProblem::Invalid {
            setting: "http_client",
            problem: format!("cannot be created ({error})"),
            remedy: "check the system's TLS certificates, or set your own client",
        })
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

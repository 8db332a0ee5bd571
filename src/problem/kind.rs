//! The kinds of problems.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What kind of refusal or failure it is: the last segment of the problem's `type`,
        /// `urn:tower-webflow-auth:<kind>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FailureKind {
            $($(#[$doc])* $name,)+
        }

        impl FailureKind {
            /// All kinds of this version.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The kind as text, for example `access-denied`. It does not change between versions.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// The user cancelled at Webflow's consent screen.
    AccessDenied = "access-denied",
    /// Webflow refused the authorization request.
    AuthorizationRefused = "authorization-refused",
    /// A route needs a panel's bearer, and the request has none.
    BearerRequired = "bearer-required",
    /// The bearer of a panel is invalid, has expired, or its grant has ended.
    BearerRefused = "bearer-refused",
    /// A logout that does not come from the application's own pages.
    CrossOrigin = "cross-origin",
    /// The login took longer than the flow's lifetime.
    FlowExpired = "flow-expired",
    /// `on_authorized` refused the grant.
    HookRefused = "hook-refused",
    /// A closure, a store or a hook panicked.
    Internal = "internal",
    /// Webflow did not accept the authorization code.
    InvalidGrant = "invalid-grant",
    /// Webflow does not accept the ID token of a panel for the site.
    IdTokenRefused = "id-token-refused",
    /// A handler made a call that could not be sent.
    InvalidRequest = "invalid-request",
    /// An extractor was used on a route without the layer.
    LayerMissing = "layer-missing",
    /// The request needs a connection to Webflow, and cannot be redirected.
    LoginRequired = "login-required",
    /// The callback's parameters are not those of RFC 6749.
    MalformedCallback = "malformed-callback",
    /// The login path's parameters are malformed.
    MalformedLogin = "malformed-login",
    /// The logout path's parameters are malformed.
    MalformedLogout = "malformed-logout",
    /// A request for one of the crate's own paths has a method that the path does not accept.
    MethodNotAllowed = "method-not-allowed",
    /// The endpoints service is mounted at a path that it does not serve.
    MisplacedEndpoints = "misplaced-endpoints",
    /// The callback arrives at a path that is not the redirect URI's.
    MisplacedCallback = "misplaced-callback",
    /// The user declined scopes that the route needs.
    MissingScopes = "missing-scopes",
    /// No grant covers the site of a panel.
    NotConnected = "not-connected",
    /// Nobody is signed in to the application.
    NotSignedIn = "not-signed-in",
    /// Too many panels are signing in at the same time.
    PanelBusy = "panel-busy",
    /// A panel's request is not a JSON object with a `siteId`, or was cut off.
    PanelMalformed = "panel-malformed",
    /// A panel's request is not JSON, or is compressed.
    PanelMediaType = "panel-media-type",
    /// A panel's request did not arrive in time.
    PanelTimeout = "panel-timeout",
    /// A panel's request is longer than 16 KiB.
    PanelTooLarge = "panel-too-large",
    /// A browser tried to prefetch a login.
    Prefetch = "prefetch",
    /// Webflow refuses a token that it has just issued.
    RenewedTokenRefused = "renewed-token-refused",
    /// The process is shutting down and starts no exchange.
    ShuttingDown = "shutting-down",
    /// The token store cannot be used.
    StoreUnavailable = "store-unavailable",
    /// The application could not determine whose request it is.
    SubjectUnavailable = "subject-unavailable",
    /// Webflow no longer accepts the token.
    TokenRefused = "token-refused",
    /// The token was replaced during the request.
    TokenReplaced = "token-replaced",
    /// More callbacks are in progress than the layer allows.
    TooManyCallbacks = "too-many-callbacks",
    /// Webflow has refused too many ID tokens of one site within a minute.
    TooManyIdTokens = "too-many-id-tokens",
    /// More logouts are in progress than the layer allows.
    TooManyLogouts = "too-many-logouts",
    /// The callback belongs to no flow of this browser.
    UnknownFlow = "unknown-flow",
    /// The grant's user is not known yet.
    UserPending = "user-pending",
    /// Webflow's rate limit prevents the exchange.
    WebflowBusy = "webflow-busy",
    /// Webflow answered a handler's call with an error.
    WebflowError = "webflow-error",
    /// Webflow refuses a handler's call, but the token is valid.
    WebflowForbids = "webflow-forbids",
    /// The session has ended, but the authorization at Webflow could not be revoked.
    WebflowNotTold = "webflow-not-told",
    /// Webflow's rate limit prevents a handler's call.
    WebflowRateLimit = "webflow-rate-limit",
    /// Webflow refused the exchange, or its response is unusable.
    WebflowRefused = "webflow-refused",
    /// Webflow did not answer in time.
    WebflowTimeout = "webflow-timeout",
    /// Webflow cannot be reached.
    WebflowUnreachable = "webflow-unreachable",
    /// Too many webhooks are being handled at the same time.
    WebhookBusy = "webhook-busy",
    /// A webhook is not a JSON object with a `triggerType`, or was cut off.
    WebhookMalformed = "webhook-malformed",
    /// A webhook is not JSON, or is compressed.
    WebhookMediaType = "webhook-media-type",
    /// A webhook has no valid signature and timestamp.
    WebhookRefused = "webhook-refused",
    /// A webhook's body did not arrive in time.
    WebhookTimeout = "webhook-timeout",
    /// A webhook's body exceeds the route's limit.
    WebhookTooLarge = "webhook-too-large",
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

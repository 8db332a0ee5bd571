//! Public types can be shared between threads. Checked by the compiler, since docs/public-api.txt
//! leaves auto traits out.

use tower_webflow_auth::api::{ApiError, ApiRequest, ApiResponse, WebflowApi};
use tower_webflow_auth::store::{
    MemoryStore, PostgresStore, RedisStore, SealedToken, SqliteStore, StoreError,
};
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};
use tower_webflow_auth::webhooks::WebflowEvent;
use tower_webflow_auth::{
    BeginError, Clock, ConfigError, Endpoints, Gone, Keyring, Login, NewGrant, Next, PanelSession,
    Scopes, Subject, WebflowAuthHandle, WebflowAuthLayer, WebflowGrants, WebflowToken,
    config::WebflowAuthBuilder,
    doctor::Report,
    handle::{IdTokenError, LookupError, ResealError, RevokeError, StoredGrant},
    hooks::AuthFailure,
    middleware::{EndpointsFuture, EndpointsService, ResponseFuture, WebflowAuth},
};

const fn send<T: Send>() {}
const fn send_sync<T: Send + Sync>() {}

const _: () = {
    send_sync::<(WebflowAuthLayer, WebflowAuth<()>, WebflowAuthHandle, EndpointsService)>();
    send_sync::<(WebflowToken, WebflowGrants, PanelSession, Scopes, Subject)>();
    send_sync::<(Keyring, Clock, Endpoints)>();
    send_sync::<(MemoryStore, SqliteStore, PostgresStore, RedisStore, SealedToken)>();
    send_sync::<(ConfigError, StoreError, ApiError, IdTokenError)>();
    send_sync::<(LookupError, ResealError, RevokeError, StoredGrant)>();
    send_sync::<(AuthFailure, BeginError, Report, WebflowApi, WebflowEvent)>();
    send_sync::<(Gone, Login, NewGrant, Next)>();
    send_sync::<(FakeWebflow, TestBrowser)>();
    send::<(WebflowAuthBuilder, ApiRequest, ApiResponse, EndpointsFuture)>();
    send::<ResponseFuture<axum::Router, axum::body::Body>>();
};

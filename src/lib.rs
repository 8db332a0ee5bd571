#![cfg_attr(
    all(
        feature = "axum",
        feature = "sqlite",
        feature = "postgres",
        feature = "redis",
        feature = "testing",
        feature = "webhooks",
        feature = "panels"
    ),
    doc = include_str!("links.md")
)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod api;
#[cfg(feature = "panels")]
mod bearer;
mod config;
mod context;
mod crypto;
#[cfg(feature = "webhooks")]
mod delivery;
mod doctor;
#[cfg(feature = "axum")]
mod extract;
mod flow;
#[cfg(feature = "_fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod grant;
// Its examples need every feature.
#[cfg(all(
    doc,
    feature = "axum",
    feature = "sqlite",
    feature = "postgres",
    feature = "redis",
    feature = "testing",
    feature = "webhooks",
    feature = "panels"
))]
pub mod guide;
mod handle;
mod hooks;
mod identity;
mod lifecycle;
mod middleware;
#[cfg(feature = "panels")]
mod panels;
mod problem;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod util;
mod vault;
mod webflow;
#[cfg(feature = "webhooks")]
pub mod webhooks;
mod wire;

#[cfg(feature = "panels")]
pub use bearer::session::PanelSession;
pub use config::{CacheConfig, ConfigError, ConfigProblem, WebflowAuthBuilder};
pub use context::handle::WebflowAuthHandle;
pub use crypto::keyring::Keyring;
pub use doctor::{Check, CheckStatus, Checkup};
#[cfg(feature = "axum")]
pub use extract::rejection::{WebflowTokenRejection, WebflowTokenRejectionReason};
pub use flow::begin::{BeginError, Login};
pub use grant::listing::LookupError;
pub use grant::policy::GrantPolicy;
pub use grant::scope::{Scope, Scopes};
pub use grant::token::{Reauthorize, WebflowGrants, WebflowToken};
pub use grant::user::WebflowUser;
pub use hooks::{AuthFailure, Gone, NewGrant, Next, Why};
pub use identity::resolver::SubjectResolver;
pub use identity::subject::{InvalidSubject, Subject};
pub use lifecycle::id_token::ResolveError;
pub use lifecycle::import::ImportError;
pub use lifecycle::list::StoredGrant;
pub use lifecycle::pace::Pace;
pub use lifecycle::reseal::ResealError;
pub use lifecycle::revoke::RevokeError;
pub use lifecycle::verify::{GrantState, Verified};
pub use middleware::{
    EndpointsFuture, EndpointsService, ResponseBody, ResponseFuture, WebflowAuth, WebflowAuthLayer,
};
pub use problem::FailureKind;
pub use secrecy::{ExposeSecret, SecretString};
pub use util::clock::Clock;
pub use webflow::Endpoints;

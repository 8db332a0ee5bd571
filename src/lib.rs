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
pub mod config;
mod context;
mod crypto;
#[cfg(feature = "webhooks")]
mod delivery;
pub mod doctor;
#[cfg(feature = "axum")]
pub mod extract;
mod flow;
mod flow_state;
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
pub mod handle;
pub mod hooks;
mod identity;
mod lifecycle;
pub mod middleware;
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
pub use config::error::ConfigError;
pub use context::handle::WebflowAuthHandle;
pub use crypto::keyring::Keyring;
#[cfg(feature = "axum")]
pub use extract::rejection::WebflowTokenRejection;
pub use flow::begin::{BeginError, Login};
pub use grant::policy::GrantPolicy;
pub use grant::scope::{Scope, Scopes};
pub use grant::token::{WebflowGrants, WebflowToken};
pub use grant::user::WebflowUser;
pub use hooks::{Gone, NewGrant, Next, Why};
pub use identity::resolver::SubjectResolver;
pub use identity::subject::Subject;
pub use lifecycle::import::ImportError;
pub use lifecycle::pace::Pace;
pub use lifecycle::verify::Verified;
pub use middleware::layer::WebflowAuthLayer;
pub use secrecy::{ExposeSecret, SecretString};
pub use util::clock::Clock;
pub use webflow::Endpoints;

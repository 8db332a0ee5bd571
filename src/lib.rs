#![cfg_attr(
    all(
        feature = "axum",
        feature = "sqlite",
        feature = "postgres",
        feature = "redis",
        feature = "testing"
    ),
    doc = include_str!("links.md")
)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
pub mod api;
mod cache;
mod caller;
mod challenge;
mod clock;
mod config;
mod cookie;
mod disconnect;
mod doctor;
mod endpoints_service;
#[cfg(feature = "axum")]
mod extract;
mod flow;
mod future;
#[cfg(feature = "_fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod glance;
mod grants;
// Its examples need every feature.
#[cfg(all(
    doc,
    feature = "axum",
    feature = "sqlite",
    feature = "postgres",
    feature = "redis",
    feature = "testing"
))]
pub mod guide;
mod handle;
mod hooks;
mod hot;
#[cfg(feature = "axum")]
mod into_response;
mod keyring;
mod layer;
mod observe;
mod pages;
mod problem;
mod query;
mod random;
mod recovery;
mod refresh;
#[cfg(feature = "axum")]
mod rejection;
mod replicas;
mod resolver;
mod scope;
mod service;
mod shared;
pub mod store;
mod subject;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod vault;
mod webflow;

pub use clock::Clock;
pub use config::{CacheConfig, ConfigError, ConfigProblem, WebflowAuthBuilder};
pub use disconnect::RevokeError;
pub use doctor::{Check, CheckStatus, Checkup};
pub use endpoints_service::{EndpointsFuture, EndpointsService};
pub use future::ResponseFuture;
pub use grants::GrantPolicy;
pub use handle::{ResolveError, WebflowAuthHandle};
pub use hooks::{AuthFailure, Authorized};
pub use keyring::Keyring;
pub use layer::WebflowAuthLayer;
#[cfg(feature = "axum")]
pub use rejection::{WebflowTokenRejection, WebflowTokenRejectionReason};
pub use resolver::SubjectResolver;
pub use scope::{Scope, Scopes};
pub use secrecy::{ExposeSecret, SecretString};
pub use service::WebflowAuth;
pub use subject::{InvalidSubject, Subject};
pub use token::{Reauthorize, WebflowGrants, WebflowToken};
pub use webflow::Endpoints;

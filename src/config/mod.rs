//! The builder of the layer, its settings, and what can be wrong with them.
//!
//! [`WebflowAuthLayer::builder`](crate::WebflowAuthLayer::builder) and
//! [`WebflowAuthLayer::from_env`](crate::WebflowAuthLayer::from_env) return the builder.

mod assemble;
mod builder;
mod cache;
mod env;
pub(crate) mod error;
mod grants;
mod http_client;
#[cfg(feature = "panels")]
mod panels;
mod redirect_uri;
mod sessions;
mod validate;
#[cfg(feature = "webhooks")]
mod webhooks;

pub use builder::WebflowAuthBuilder;
pub use cache::CacheConfig;
pub(crate) use error::ConfigError;
pub use error::ConfigProblem;

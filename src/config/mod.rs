//! The builder: settings, defaults and validation.

mod builder;
mod cache;
mod env;
mod error;
mod redirect_uri;

pub use builder::WebflowAuthBuilder;
pub use cache::CacheConfig;
pub use error::{ConfigError, ConfigProblem};

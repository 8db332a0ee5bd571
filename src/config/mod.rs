//! The builder: every setting, its default, and what must be right about it.

mod builder;
mod cache;
mod env;
mod error;
#[cfg(feature = "panels")]
mod panels;
mod redirect_uri;

pub use builder::WebflowAuthBuilder;
pub use cache::CacheConfig;
pub use error::{ConfigError, ConfigProblem};

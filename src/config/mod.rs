//! The builder: every setting, its default, and what must be right about it.

mod builder;
mod env;
mod error;
mod redirect_uri;

pub use builder::WebflowAuthBuilder;
pub use error::{ConfigError, ConfigProblem};

//! skeleton
mod clock;
mod config;
mod scope;
pub mod store;
mod subject;
pub mod testing;
mod webflow;
pub use clock::Clock;
pub use config::{ConfigError, ConfigProblem};
pub use scope::{Scope, Scopes};
pub use subject::Subject;
pub use webflow::Endpoints;

//! Decides whether a request reaches the handler: forward it with a token, or answer it.
//!
//! It may use `flow` and everything below it, but knows neither tower nor axum.

#[cfg(feature = "panels")]
pub mod bearer;
pub mod challenge;
pub mod decide;
pub mod guard;
pub mod recover;

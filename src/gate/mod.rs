//! The decision on a request: forward it with a token, or answer it.

#[cfg(feature = "panels")]
pub mod bearer;
pub mod challenge;
pub mod decide;
pub mod guard;
pub mod recover;

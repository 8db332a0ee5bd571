//! The decision on a request: forward it with a token, or answer it.

#[cfg(feature = "panels")]
pub(crate) mod bearer;
pub(crate) mod challenge;
pub(crate) mod decide;
pub(crate) mod guard;
pub(crate) mod recover;

//! The decision on a request: forward it with a token, or answer it.

pub(crate) mod challenge;
pub(crate) mod decide;
pub(crate) mod guard;
pub(crate) mod recover;

//! The documentation matches the code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod guide;
mod threat_model;

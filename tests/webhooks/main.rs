//! Webhooks: receiving them (the cases H1 to H10 of docs/threat-model.md), and registering them
//! (H11). Needs no server; `sdks` needs Node.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod at_webflow;
mod receiving;
mod sdks;

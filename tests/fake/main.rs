//! `FakeWebflow` itself: its rules, its faults, and its compatibility with Webflow's own SDKs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod data_api;
mod sdks;
mod truth;
mod webflow;

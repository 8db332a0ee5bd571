//! `FakeWebflow` itself: its rules, its faults, and whether Webflow's own SDKs get along with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod sdks;
mod webflow;

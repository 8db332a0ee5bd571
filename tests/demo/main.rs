//! The demo as a process. Needs the example built: `cargo test` does so, `cargo test --test demo` does
//! not. Postgres and Redis are needed by the ignored tests only.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::wildcard_imports, reason = "case modules use their file")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod fake_webflow;
mod instances;
mod lists;
mod panels;
mod process;
mod sites;
mod webhooks;

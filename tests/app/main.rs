//! The example `app` as a process. Needs the example built: `cargo test` does so, `cargo test --test app`
//! does not. The ignored tests need Chromium or Postgres.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod database;
mod files;
mod forms;
mod life;
mod process;
mod stage;

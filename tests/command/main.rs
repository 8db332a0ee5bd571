//! The command `webflow-auth` as a process, with a fake Webflow and a store that an application
//! has filled. Needs the example built: `cargo test` does so, `cargo test --test command` does not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "nothing is outside of a test binary")]

#[path = "../support/mod.rs"]
mod support;

mod engines;
mod grants;
mod import;
mod jobs;
mod settings;
mod stage;

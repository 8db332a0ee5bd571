//! Attacks and accidents: the numbered cases of docs/threat-model.md. Needs no server.
#![allow(
    clippy::expect_used,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_imports
)]

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod cancellation;
mod capture;
mod cookies;
mod corpus;
mod doors;
mod keys;
mod limits;
mod losses;
mod network;
mod properties;
mod redirects;
mod retries;
mod shown;
mod state;
mod unauthenticated;

//! A real browser at the application and at the demo. Every test is ignored by default, since it
//! needs Chromium and `ChromeDriver`; scripts/test installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::wildcard_imports, reason = "case modules use their file")]

#[path = "../support/mod.rs"]
mod support;

mod cookies;
#[cfg(unix)]
mod demo;
#[cfg(unix)]
mod pages;
mod people;
mod return_to;
#[cfg(unix)]
mod scripts;

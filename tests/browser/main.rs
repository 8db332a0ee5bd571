//! A real browser on the application and the demo. Every test is ignored by default, since it needs
//! Chromium and `ChromeDriver`; scripts/test installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::duplicate_mod, reason = "each example has its own `support`")]
#![allow(clippy::wildcard_imports, reason = "case modules use their file")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../examples/designer/main.rs"]
mod designer_example;

mod cookies;
#[cfg(unix)]
mod demo;
#[cfg(unix)]
mod pages;
mod panels;
mod people;
mod return_to;
#[cfg(unix)]
mod scripts;

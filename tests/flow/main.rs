//! Connecting, using and losing a Webflow grant: the layer, the extractors, the API client and the
//! doctor in an application on a real socket, against `FakeWebflow`. Needs no server.
#![allow(clippy::duplicate_mod, reason = "each example has its own `support`")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::wildcard_imports, reason = "case modules use their file")]

#[path = "../support/mod.rs"]
mod support;

// Examples that tests drive as applications.
#[path = "../../examples/axum_login.rs"]
mod axum_login_example;
#[path = "../../examples/jwt.rs"]
mod jwt_example;
#[path = "../../examples/tonic.rs"]
mod tonic_example;
#[path = "../../examples/tower_sessions.rs"]
mod tower_sessions_example;

mod api;
mod budgets;
mod cache;
mod composition;
mod config;
mod doctor;
mod end_to_end;
mod extractor;
mod faults;
mod first_errors;
mod forgotten;
mod grant_jobs;
mod grants;
mod hooks;
mod log_lines;
mod own_users;
mod recovery;
mod service;
mod sign_in;
mod sites;
mod sliding;
mod step_up;
mod users;

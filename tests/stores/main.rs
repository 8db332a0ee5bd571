//! Token stores: one contract for all, and the specifics of each engine. Postgres and Redis are
//! needed by the ignored tests only; `scripts/with-servers` starts them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::wildcard_imports, reason = "case modules use their file")]

#[path = "../support/mod.rs"]
mod support;

mod contract;
mod engines;
mod groups;
mod postgres_faults;
mod redis_faults;
mod reseal;
mod sqlite;
mod sqlite_faults;

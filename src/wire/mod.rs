//! Strict parsing of bytes from other parties: headers, cookies, queries and paths.

#[cfg(any(feature = "webhooks", feature = "panels"))]
pub mod body;
pub mod cookies;
pub mod paths;
pub mod query;
pub mod request_head;
pub mod return_to;

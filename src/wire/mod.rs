//! Strict parsing of bytes from other parties: headers, cookies, queries and paths.

#[cfg(any(feature = "webhooks", feature = "panels"))]
pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod paths;
pub(crate) mod query;
pub(crate) mod request_head;
pub(crate) mod return_to;

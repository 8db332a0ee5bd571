//! Reads bytes from other parties, strictly: headers, cookies, queries and paths.

pub(crate) mod caller;
pub(crate) mod cookies;
pub(crate) mod query;
pub(crate) mod request_head;
pub(crate) mod return_to;

//! Flows that are under way: what the browser keeps in its flow cookies, and what the process knows of
//! callbacks that it has seen.
//!
//! Checks the `state` of a callback. Reads no grant, and calls neither the store nor Webflow.

pub mod cookie;
pub mod pending;

//! The panel path, where a Designer Extension exchanges Webflow's ID token for a bearer (Webflow,
//! *Hybrid Apps*).
//!
//! `post` makes the checks in order, and the first that fails decides the response. A request
//! without a valid ID token costs at most 16 KiB of memory for ten seconds, two reads of the store,
//! and one call to Webflow for each of four grants. At most 64 requests are served at a time.

mod claim;
mod post;
mod signed_in;

pub use post::{BODY_LIMIT, Reading, admit};

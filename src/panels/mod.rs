//! The panel path: a Designer Extension trades Webflow's ID token for a bearer (Webflow, *Hybrid
//! Apps*).
//!
//! The order of the checks is that of `post`; the first that fails answers. Whoever sends a
//! request without a valid ID token costs at most 16 KiB of memory for ten seconds, two reads of
//! the store, and one call to Webflow for each of four grants, 64 requests at a time.

mod claim;
mod post;
mod signed_in;

pub use post::{BODY_LIMIT, Reading, admit};

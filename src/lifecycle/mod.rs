//! Stored grants outside a login: lookups of what they cover, listing, import, revocation, removal.
//!
//! It may use the vault and both clients of Webflow, but not the flow or the middleware.

pub mod coverage;
pub mod disconnect;
pub mod find;
pub mod id_token;
pub mod import;
pub mod list;
pub mod new_sites;
pub mod pace;
pub mod reseal;
pub mod verify;

//! What happens to stored grants outside a login: lookups, revocation, removal.

pub mod coverage;
pub mod find;
pub mod id_token;
pub mod import;
pub mod list;
pub mod listing;
pub mod pace;
pub mod reseal;
pub mod revoke;
pub mod verify;

//! What happens to stored grants outside a login: lookups, revocation, removal.

pub(crate) mod coverage;
pub(crate) mod find;
pub(crate) mod id_token;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod listing;
pub(crate) mod pace;
pub(crate) mod reseal;
pub(crate) mod revoke;
pub(crate) mod verify;

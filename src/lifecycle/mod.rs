//! What happens to stored grants outside a login: lookups, revocation, removal.

pub(crate) mod coverage;
pub(crate) mod find;
pub(crate) mod id_token;
pub(crate) mod listing;
pub(crate) mod revoke;

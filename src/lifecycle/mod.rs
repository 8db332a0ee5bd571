//! What happens to stored grants outside a login: lookups, revocation, removal.

pub(crate) mod coverage;
pub(crate) mod listing;
pub(crate) mod revoke;

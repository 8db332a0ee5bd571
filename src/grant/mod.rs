//! What a user has allowed: the token, its scopes, and how a grant ends.

pub(crate) mod coverage;
pub(crate) mod policy;
pub(crate) mod revoke;
pub(crate) mod scope;
pub(crate) mod token;

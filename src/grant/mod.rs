//! What a user has allowed: the token, its scopes, and how a grant ends.

pub(crate) mod details;
pub(crate) mod listing;
pub(crate) mod policy;
pub(crate) mod scope;
pub(crate) mod state;
pub(crate) mod token;
pub(crate) mod user;

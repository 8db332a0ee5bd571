//! What a user has allowed: the token, its scopes, and how a grant ends.

pub mod details;
pub mod listing;
pub mod policy;
pub mod scope;
pub mod state;
pub mod token;
pub mod user;

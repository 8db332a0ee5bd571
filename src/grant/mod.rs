//! What a user has granted: the token, its scopes, and what is known about them.
//!
//! It knows neither the vault nor the flow.

pub mod details;
pub mod policy;
pub mod scope;
pub mod site_listings;
pub mod state;
pub mod token;
pub mod user;

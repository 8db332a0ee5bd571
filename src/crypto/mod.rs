//! Keys, sealing, signatures and randomness. Nothing here knows what is sealed.

pub mod keyring;
pub mod random;
mod seal;
pub mod weak_key;

//! Keys, sealing, signatures and randomness. Nothing here knows what is sealed.

pub(crate) mod keyring;
pub(crate) mod random;
mod seal;
pub(crate) mod weak_key;

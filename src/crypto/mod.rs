//! Encryption, signatures and randomness. Nothing here knows what is being encrypted.

pub(crate) mod keyring;
pub(crate) mod random;
mod seal;
pub(crate) mod weak_key;

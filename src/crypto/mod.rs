//! Encryption, signatures and randomness. Nothing here knows what is being encrypted.

#[cfg(feature = "panels")]
pub mod equal;
pub mod keyring;
pub mod random;
mod seal;
pub mod weak_key;

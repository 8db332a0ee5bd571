//! Passwords, hashed with Argon2id.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::AppError;

/// Each hash takes about 19 MiB and some tens of milliseconds of a processor.
const AT_ONCE: usize = 4;

pub(crate) struct Passwords {
    turn: Arc<Semaphore>,
    /// The hash of nobody's password, so that an unknown e-mail address takes as long as a wrong
    /// password.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, argon2::password_hash::Error> {
        let nobody = Argon2::default().hash_password(b"nobody's")?.to_string();
        Ok(Self { turn: Arc::new(Semaphore::new(AT_ONCE)), nobody })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, AppError> {
        let hashed = self
            .in_turn(move || {
                Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
            })
            .await?;
        hashed.map_err(|_| AppError::Internal("a password could not be hashed"))
    }

    /// Whether the password is the one that was hashed. Without a hash it never is.
    pub(crate) async fn verify(
        &self,
        password: String,
        hashed: Option<String>,
    ) -> Result<bool, AppError> {
        let exists = hashed.is_some();
        let hashed = hashed.unwrap_or_else(|| self.nobody.clone());
        let matches = self
            .in_turn(move || {
                PasswordHash::new(&hashed).is_ok_and(|hash| {
                    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
                })
            })
            .await?;
        Ok(exists && matches)
    }

    /// Runs on a thread that may block, a few at a time.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| AppError::Internal("a password could not be hashed"))
    }
}

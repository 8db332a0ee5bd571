//! Seals a row anew, with the newest key.

use std::sync::Arc;

use super::{Vault, seal};
use crate::store::{SealedToken, StoreError, TokenKey};
use crate::util::metrics;

/// What became of a row that an older key had sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resealed {
    Written,
    /// It was changed or removed meanwhile.
    Skipped,
    /// No key of the ring opens it.
    Unopenable,
}

impl Vault {
    /// Whether the newest key has sealed the row, by what the row says.
    pub fn is_newest(&self, row: &SealedToken) -> bool {
        self.keyring.is_newest(row.sealed())
    }

    /// Seals the row as it is in the store now, in turn with the subject's other writes: what was
    /// learned of the grant since it was listed is not undone.
    pub async fn reseal(self: &Arc<Self>, row: &SealedToken) -> Result<Resealed, StoreError> {
        let (vault, row) = (Arc::clone(self), row.clone());
        let timer = metrics::Timer::start();
        let subject = self.public(row.key().subject()).into_owned();
        let resealed = self.write(subject, async move {
            let stored = vault.store.load(row.key().subject()).await?;
            let same = |it: &SealedToken| it.key() == row.key() && it.version() == row.version();
            let Some(stored) = stored.into_iter().find(same) else { return Ok(Resealed::Skipped) };
            if vault.is_newest(&stored) {
                return Ok(Resealed::Skipped);
            }
            let Some(anew) = seal::reseal(&vault.keyring, &stored) else {
                return Ok(Resealed::Unopenable);
            };
            let written = vault.store.update(&anew).await?;
            Ok(if written { Resealed::Written } else { Resealed::Skipped })
        });
        let resealed = resealed.await;
        timer.store("update");
        resealed
    }

    /// The key that the application knows.
    pub fn public_key(&self, stored: &TokenKey) -> TokenKey {
        stored.of_app(&self.app).unwrap_or_else(|| stored.clone())
    }
}

//! IDs that Postgres cannot store.

use crate::store::{StoreError, TokenKey};

/// Fits a Postgres index with room to spare. Webflow's IDs have 24 characters.
const MAX_LEN: usize = 512;

/// Postgres text cannot contain NUL. The layer's own grant IDs never do.
pub fn grant_id(key: &TokenKey) -> Result<&str, StoreError> {
    let id = key.grant().as_str();
    if is_indexed(id) {
        Ok(id)
    } else {
        Err(StoreError::Unsupported("a grant id that is long or has a NUL character"))
    }
}

/// The IDs to index. One that Postgres cannot store is skipped: the grant is kept, but not found by
/// it.
pub fn indexed(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).filter(|id| is_indexed(id)).collect()
}

pub fn is_indexed(id: &str) -> bool {
    id.len() <= MAX_LEN && !id.contains('\0')
}

//! IDs that Postgres cannot store.

use crate::store::{StoreError, TokenKey};

/// Fits a Postgres index with room to spare. Webflow's IDs have 24 characters.
const MAX_LEN: usize = 512;

/// Postgres text cannot contain NUL. The layer's own grant IDs never do.
pub fn check_grant_id(key: &TokenKey) -> Result<(), StoreError> {
    if is_indexed(key.grant().as_str()) {
        Ok(())
    } else {
        Err(StoreError::Unsupported("a grant id that is long or has a NUL character"))
    }
}

/// The IDs to index. One that Postgres cannot store is skipped: the grant is kept, but not found by
/// it.
pub fn indexed(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).filter(|id| is_indexed(id)).collect()
}

/// [`indexed`] ids as the text of an array.
pub fn array(ids: &[String]) -> String {
    let ids = indexed(ids).into_iter();
    let quoted: Vec<_> =
        ids.map(|id| format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

pub fn is_indexed(id: &str) -> bool {
    id.len() <= MAX_LEN && !id.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_s_text_has_every_id_quoted() {
        let ids = ["a", "", "NULL", "a,b", "{}", "\"", "\\", "a\0"].map(str::to_owned);
        assert_eq!(array(&ids), r#"{"a","","NULL","a,b","{}","\"","\\"}"#);
        assert_eq!(array(&[]), "{}");
    }
}

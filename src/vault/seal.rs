//! Encrypts grants into rows, and decrypts them.
//!
//! A row is bound to its key and version: moved to another place in the store, it does not open.

use crate::crypto::keyring::{Keyring, Purpose};
use crate::grant::details::GrantDetails;
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};

use super::plain::Plain;

/// Encrypts a grant with the newest key.
pub fn seal(
    keyring: &Keyring,
    key: TokenKey,
    version: TokenVersion,
    details: &GrantDetails,
) -> Result<SealedToken, StoreError> {
    let json = Plain::to_json(details)?;
    let sealed = keyring.seal(Purpose::Token, &context(&key, version), &json);
    Ok(SealedToken::new(key, version, sealed, details.obtained_at)
        .with_sites(details.sites().to_vec())
        .with_workspaces(details.workspaces().to_vec()))
}

/// Decrypts a row. `None` unless a key of the ring encrypted it for exactly this place.
pub fn unseal(keyring: &Keyring, row: &SealedToken) -> Option<GrantDetails> {
    let json = keyring.open(Purpose::Token, &context(row.key(), row.version()), row.sealed())?;
    Plain::parse(&json)
}

/// Encrypts a row again, with the newest key. Its content is not parsed, so nothing of it is lost.
pub fn reseal(keyring: &Keyring, row: &SealedToken) -> Option<SealedToken> {
    let context = context(row.key(), row.version());
    let json = keyring.open(Purpose::Token, &context, row.sealed())?;
    let sealed = keyring.seal(Purpose::Token, &context, &json);
    let resealed = SealedToken::new(row.key().clone(), row.version(), sealed, row.obtained_at());
    Some(resealed.with_sites(row.sites().to_vec()).with_workspaces(row.workspaces().to_vec()))
}

/// The associated data of a row. Each field has its length in front, so that no two rows have the
/// same.
pub fn context(key: &TokenKey, version: TokenVersion) -> Vec<u8> {
    let mut context = Vec::new();
    for field in [key.subject().as_str(), key.grant().as_str()] {
        context.extend_from_slice(&(field.len() as u64).to_be_bytes());
        context.extend_from_slice(field.as_bytes());
    }
    context.extend_from_slice(&version.as_i64().to_be_bytes());
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::subject::Subject;
    use crate::store::GrantId;

    #[test]
    fn k2_no_two_keys_and_versions_are_bound_in_by_the_same_bytes() {
        let context = |subject: &str, grant: &str, version: i64| {
            let key = TokenKey::new(Subject::user(subject), GrantId::new(grant));
            super::context(&key, TokenVersion::from_i64(version).unwrap())
        };
        let all = [
            context("a", "bc", 1),
            context("ab", "c", 1),
            context("abc", "", 1),
            context("a", "bc", 2),
            context("a", "b", 1),
            context("A", "bc", 1),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}

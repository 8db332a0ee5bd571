//! What a store keeps: an encrypted grant and the keys to find it by.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::identity::app::AppId;
use crate::identity::subject::{InvalidSubject, Subject};

/// Identifies a grant among the grants of one subject.
///
/// With [`GrantPolicy::Single`](crate::GrantPolicy::Single) it is always [`GrantId::default`]. With
/// [`GrantPolicy::PerWorkspace`](crate::GrantPolicy::PerWorkspace) it is the ID of the
/// authorization at Webflow.
///
/// ```
/// use tower_webflow_auth::store::GrantId;
///
/// assert_eq!(GrantId::default().as_str(), "default");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantId(String);

impl GrantId {
    /// Creates a grant ID from its text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the ID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GrantId {
    fn default() -> Self {
        Self::new("default")
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a row: a subject and one of its grants, ordered by their texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenKey {
    subject: Subject,
    grant: GrantId,
}

impl TokenKey {
    /// Creates the key of one of `subject`'s grants.
    pub const fn new(subject: Subject, grant: GrantId) -> Self {
        Self { subject, grant }
    }

    /// Returns the subject.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the ID of the grant.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// The store's form of this key.
    pub(crate) fn stored(&self, app: &AppId) -> Result<Self, InvalidSubject> {
        Ok(Self { subject: self.subject.stored(app)?, grant: self.grant.clone() })
    }

    /// The key of a store's form; `None` if that belongs to another app.
    pub(crate) fn of_app(&self, app: &AppId) -> Option<Self> {
        Some(Self { subject: self.subject.of_app(app)?, grant: self.grant.clone() })
    }
}

/// The version of a row: unique, and greater for a later write.
///
/// A removal names the version it has seen, so that a late one never deletes a newer token.
/// Versions are non-negative and fit a signed 64-bit column.
///
/// ```
/// use tower_webflow_auth::store::TokenVersion;
///
/// let version = TokenVersion::from_i64(1).unwrap();
/// assert_eq!(version.as_i64(), 1);
/// assert!(TokenVersion::from_i64(-1).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TokenVersion(i64);

impl TokenVersion {
    /// Creates a version from a stored number. Returns `None` for a negative number.
    pub const fn from_i64(version: i64) -> Option<Self> {
        if version < 0 { None } else { Some(Self(version)) }
    }

    /// Returns the version as a signed 64-bit number, never negative.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// The upper 44 bits are milliseconds since 1970 and the lower 19 are random, so that two
    /// instances writing in the same millisecond get different versions.
    pub(crate) fn generate(unix_millis: u64, random: u32) -> Self {
        let millis = unix_millis & ((1 << 44) - 1);
        let version = (millis << 19) | u64::from(random & ((1 << 19) - 1));
        Self(i64::try_from(version).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for TokenVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = i64::deserialize(deserializer)?;
        Self::from_i64(version).ok_or_else(|| D::Error::custom("a version must not be negative"))
    }
}

/// An encrypted grant, as a store sees it.
///
/// A store keeps all fields and returns them unchanged. The sealed bytes are bound to the key and
/// the version, so a row that was altered or moved to another subject no longer decrypts.
/// Implements serde's traits for stores that keep one document per row.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_webflow_auth::{Subject, store::{GrantId, SealedToken, TokenKey, TokenVersion}};
///
/// let key = TokenKey::new(Subject::user(7), GrantId::default());
/// let obtained_at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let row = SealedToken::new(key, TokenVersion::from_i64(3).unwrap(), vec![1, 2, 3], obtained_at)
///     .with_sites(vec!["site-1".to_owned()]);
/// assert_eq!(row.sites(), ["site-1"]);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedToken {
    key: TokenKey,
    version: TokenVersion,
    sealed: Vec<u8>,
    obtained_at_unix_secs: u64,
    sites: Vec<String>,
    workspaces: Vec<String>,
}

impl SealedToken {
    /// Creates a row from stored values. `obtained_at` is truncated to whole seconds.
    pub fn new(
        key: TokenKey,
        version: TokenVersion,
        sealed: Vec<u8>,
        obtained_at: SystemTime,
    ) -> Self {
        Self {
            key,
            version,
            sealed,
            obtained_at_unix_secs: obtained_at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            sites: Vec::new(),
            workspaces: Vec::new(),
        }
    }

    /// Sets the IDs of the sites that the grant covers, for
    /// [`by_site`](super::TokenStore::by_site).
    #[must_use]
    pub fn with_sites(mut self, sites: Vec<String>) -> Self {
        self.sites = sites;
        self
    }

    /// Sets the IDs of the workspaces that the grant covers, for
    /// [`by_workspace`](super::TokenStore::by_workspace).
    #[must_use]
    pub fn with_workspaces(mut self, workspaces: Vec<String>) -> Self {
        self.workspaces = workspaces;
        self
    }

    /// Returns the key of the row.
    pub const fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Returns the version of the row.
    pub const fn version(&self) -> TokenVersion {
        self.version
    }

    /// Returns the encrypted grant: a few hundred bytes, or up to a few dozen KiB with very many
    /// sites.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Returns when Webflow issued the token, in whole seconds.
    pub fn obtained_at(&self) -> SystemTime {
        time_from_unix_secs(self.obtained_at_unix_secs)
    }

    /// Returns the IDs of the sites that the grant covers; empty while they are unknown.
    pub fn sites(&self) -> &[String] {
        &self.sites
    }

    /// Returns the IDs of the workspaces that the grant covers; empty while they are unknown.
    pub fn workspaces(&self) -> &[String] {
        &self.workspaces
    }
}

/// Only a tampered row has a time that overflows `SystemTime`. It becomes 1970, so that nothing
/// lives longer because of it.
pub fn time_from_unix_secs(secs: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(secs)).unwrap_or(UNIX_EPOCH)
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedToken")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("sealed", &format_args!("{} bytes", self.sealed.len()))
            .field("obtained_at_unix_secs", &self.obtained_at_unix_secs)
            .field("sites", &self.sites)
            .field("workspaces", &self.workspaces)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_write_has_a_greater_version_and_none_is_negative() {
        let early = TokenVersion::generate(1_800_000_000_000, u32::MAX);
        let late = TokenVersion::generate(1_800_000_000_001, 0);
        assert!(early < late);
        assert!(TokenVersion::generate(u64::MAX, u32::MAX).as_i64() > 0);
    }

    #[test]
    fn k2_a_document_with_impossible_numbers_is_none_or_old_and_never_a_panic() {
        let document = |version: i64, at: u64| {
            let row = serde_json::json!({
                "key": {"subject": "user:7", "grant": "default"}, "version": version,
                "sealed": [1, 2], "obtained_at_unix_secs": at, "sites": [], "workspaces": [],
            });
            serde_json::from_value::<SealedToken>(row)
        };
        assert!(document(-1, 0).is_err());
        assert_eq!(document(0, u64::MAX).unwrap().obtained_at(), UNIX_EPOCH);
        let usual = document(1, 1_800_000_000).unwrap().obtained_at();
        assert_eq!(usual, UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    }
}

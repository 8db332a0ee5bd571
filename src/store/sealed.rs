//! What a store keeps: a grant after encryption, with the keys it is found by.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::identity::app::AppId;
use crate::identity::subject::{InvalidSubject, Subject};

/// The name of one grant among a subject's.
///
/// With one grant per subject it is always [`GrantId::default`]; with a grant for each workspace
/// it is the authorization's id at Webflow.
///
/// ```
/// use tower_webflow_auth::store::GrantId;
///
/// assert_eq!(GrantId::default().as_str(), "default");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantId(String);

impl GrantId {
    /// A grant id by its text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id's text.
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

/// The key of a row: one grant of one subject. Ordered by the subject's text, then the grant's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenKey {
    subject: Subject,
    grant: GrantId,
}

impl TokenKey {
    /// The key of `subject`'s grant `grant`.
    pub const fn new(subject: Subject, grant: GrantId) -> Self {
        Self { subject, grant }
    }

    /// Whose grant it is.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which of the subject's grants it is.
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

/// Which write of a row it was: unique, and greater for a later one.
///
/// A removal names the version it has seen, so that a late one never takes a newer token along.
/// The number is below 2⁶³ and fits a signed 64-bit column.
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
    /// A version as a store has it; `None` for a negative number, which no version is.
    pub const fn from_i64(version: i64) -> Option<Self> {
        if version < 0 { None } else { Some(Self(version)) }
    }

    /// The version as a signed 64-bit number, never negative.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970 in the upper 44 bits and chance in the lower 19: two instances
    /// that write in the same millisecond do not get the same version.
    pub(crate) fn at(unix_millis: u64, chance: u32) -> Self {
        let millis = unix_millis & ((1 << 44) - 1);
        let version = (millis << 19) | u64::from(chance & ((1 << 19) - 1));
        Self(i64::try_from(version).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for TokenVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = i64::deserialize(deserializer)?;
        Self::from_i64(version).ok_or_else(|| D::Error::custom("a version is not negative"))
    }
}

/// A grant after encryption: all that a store sees of it.
///
/// A store keeps the whole of it and gives it back unchanged. The sealed bytes are bound to the
/// key and the version, so a row that was swapped, altered or put under another subject opens no
/// more. Serializes with serde for stores that keep one document per row.
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
    /// A row as a store has it. `obtained_at` is kept in whole seconds.
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

    /// The ids of the sites that the grant covers, for [`by_site`](super::TokenStore::by_site).
    #[must_use]
    pub fn with_sites(mut self, sites: Vec<String>) -> Self {
        self.sites = sites;
        self
    }

    /// The ids of the workspaces that the grant covers, for
    /// [`by_workspace`](super::TokenStore::by_workspace).
    #[must_use]
    pub fn with_workspaces(mut self, workspaces: Vec<String>) -> Self {
        self.workspaces = workspaces;
        self
    }

    /// The key of the row.
    pub const fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Which write of the row this is.
    pub const fn version(&self) -> TokenVersion {
        self.version
    }

    /// The encrypted grant; some hundred bytes, or up to a few dozen KiB for very many sites.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// When Webflow issued the token, in whole seconds.
    pub fn obtained_at(&self) -> SystemTime {
        at_unix_secs(self.obtained_at_unix_secs)
    }

    /// The ids of the sites that the grant covers; empty while they are not known.
    pub fn sites(&self) -> &[String] {
        &self.sites
    }

    /// The ids of the workspaces that the grant covers; empty while they are not known.
    pub fn workspaces(&self) -> &[String] {
        &self.workspaces
    }
}

/// A time beyond what the platform can tell, which only a row has that was tampered with, is 1970:
/// nothing that expires is then kept for longer.
pub fn at_unix_secs(secs: u64) -> SystemTime {
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
        let early = TokenVersion::at(1_800_000_000_000, u32::MAX);
        let late = TokenVersion::at(1_800_000_000_001, 0);
        assert!(early < late);
        assert!(TokenVersion::at(u64::MAX, u32::MAX).as_i64() > 0);
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

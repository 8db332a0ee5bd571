//! The value of a grant: `version:obtained_at:stamp:coverage:document`.
//!
//! Scripts compare the leading fields without parsing JSON. The stamp names the grant's index
//! entries. The coverage is a digest of the indexed IDs; it stays empty until the entries are
//! written.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use super::keys::encode;
use crate::store::{SealedToken, StoreError, TokenKey, TokenVersion};

/// A stored grant and the stamp of its index entries.
pub struct Row {
    pub token: SealedToken,
    pub stamp: String,
}

impl Row {
    /// Returns `None` for a value that this store did not write.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut parts = value.splitn(5, |&byte| byte == b':');
        let mut part = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
        let (version, _obtained_at, stamp, _coverage) = (part()?, part()?, part()?, part()?);
        let stamp = stamp.to_owned();
        let version = version.parse().ok();
        let document: Document<'_> = serde_json::from_slice(parts.next()?).ok()?;
        let token = document.into_token()?;
        (version == Some(token.version().as_i64())).then_some(Self { token, stamp })
    }
}

/// A digest of the IDs that the grant is found by.
pub fn coverage(token: &SealedToken) -> String {
    let mut hash = Sha256::new();
    for (kind, ids) in [(b"s", token.sites()), (b"w", token.workspaces())] {
        let mut ids: Vec<_> = ids.iter().collect();
        ids.sort();
        for id in ids {
            hash.update(kind);
            hash.update(id.len().to_be_bytes());
            hash.update(id);
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    encode(digest.split_at(16).0)
}

/// [`SealedToken`] with its bytes in base64; as a JSON array they would take three times the space.
#[derive(serde::Serialize, serde::Deserialize)]
struct Document<'a> {
    key: TokenKey,
    version: TokenVersion,
    #[serde(borrow)]
    sealed: Cow<'a, str>,
    obtained_at: u64,
    sites: Vec<String>,
    workspaces: Vec<String>,
}

pub fn document(token: &SealedToken) -> Result<Vec<u8>, StoreError> {
    let since = token.obtained_at().duration_since(UNIX_EPOCH);
    let document = Document {
        key: token.key().clone(),
        version: token.version(),
        sealed: STANDARD_NO_PAD.encode(token.sealed()).into(),
        obtained_at: since.unwrap_or_default().as_secs(),
        sites: token.sites().to_vec(),
        workspaces: token.workspaces().to_vec(),
    };
    serde_json::to_vec(&document).map_err(StoreError::unavailable)
}

impl Document<'_> {
    fn into_token(self) -> Option<SealedToken> {
        let sealed = STANDARD_NO_PAD.decode(self.sealed.as_bytes()).ok()?;
        let obtained_at = UNIX_EPOCH.checked_add(Duration::from_secs(self.obtained_at))?;
        let token = SealedToken::new(self.key, self.version, sealed, obtained_at);
        Some(token.with_sites(self.sites).with_workspaces(self.workspaces))
    }
}

pub fn unix_secs(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

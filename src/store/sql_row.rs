//! Rows of the SQL stores, and their conversion to [`SealedToken`].

use std::cmp::Reverse;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{GrantId, SealedToken, StoreError, TokenKey, TokenVersion};
use crate::identity::subject::Subject;
use crate::util::log;

/// A row as the database returns it.
pub struct SqlRow {
    pub subject: Vec<u8>,
    pub grant: String,
    pub version: i64,
    pub sealed: Vec<u8>,
    pub obtained_at: i64,
    pub sites: Vec<String>,
    pub workspaces: Vec<String>,
}

impl SqlRow {
    fn into_token(self) -> Option<SealedToken> {
        let subject = Subject::from_str(std::str::from_utf8(&self.subject).ok()?).ok()?;
        let version = TokenVersion::from_i64(self.version)?;
        let obtained_at = u64::try_from(self.obtained_at).ok()?;
        let obtained_at = UNIX_EPOCH.checked_add(Duration::from_secs(obtained_at))?;
        let key = TokenKey::new(subject, GrantId::new(self.grant));
        let token = SealedToken::new(key, version, self.sealed, obtained_at);
        Some(token.with_sites(self.sites).with_workspaces(self.workspaces))
    }
}

/// Converts rows to tokens, newest first. A malformed row is skipped, so that it cannot hide the
/// valid ones.
pub fn newest_first(rows: impl Iterator<Item = Option<SqlRow>>) -> Vec<SealedToken> {
    let mut tokens: Vec<_> = rows
        .filter_map(|row| {
            let token = row.and_then(SqlRow::into_token);
            if token.is_none() {
                tracing::warn!(target: log::STORE, "skipping a malformed row in the token store");
            }
            token
        })
        .collect();
    tokens.sort_by_key(|token| Reverse(token.version()));
    tokens
}

/// A page of rows as an engine gives them, in the order of their keys.
pub enum Page {
    Rows(Vec<SealedToken>),
    /// Every row is malformed; the page behind this key comes next.
    Malformed {
        subject: Vec<u8>,
        grant: String,
    },
}

pub fn page(rows: Vec<Option<SqlRow>>) -> Page {
    let last = rows.iter().flatten().last().map(|row| (row.subject.clone(), row.grant.clone()));
    let mut tokens = newest_first(rows.into_iter());
    tokens.sort_by(|a, b| a.key().cmp(b.key()));
    match last {
        Some((subject, grant)) if tokens.is_empty() => Page::Malformed { subject, grant },
        _ => Page::Rows(tokens),
    }
}

/// Where a page begins: behind this subject and grant. No row has an empty subject.
pub fn behind(after: Option<&TokenKey>) -> (Vec<u8>, String) {
    after.map_or_else(Default::default, |key| {
        (key.subject().as_str().into(), key.grant().as_str().to_owned())
    })
}

pub fn unix_secs(at: SystemTime) -> i64 {
    let secs = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(secs).unwrap_or(i64::MAX)
}

/// Unix time before which a token is older than `age`.
pub fn cutoff(age: Duration) -> i64 {
    SystemTime::now().checked_sub(age).map_or(0, unix_secs)
}

pub fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::Timeout,
        error => StoreError::unavailable(error),
    }
}

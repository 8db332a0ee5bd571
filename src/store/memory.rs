//! An in-memory store for tests and demos.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::{GrantId, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;
use crate::util::clock::Clock;

const CAPACITY: usize = 100_000;
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Keeps sealed tokens in this process's memory. They are lost when the process exits.
///
/// Holds at most 100 000 grants by default. A full store first removes expired grants, and then
/// rejects new ones with [`StoreError::Full`] instead of evicting one that is still needed. A grant
/// expires 365 days after its token was obtained, whether or not it is used.
///
/// ```
/// use tower_webflow_auth::store::MemoryStore;
///
/// let small = MemoryStore::new().with_capacity(1000);
/// ```
pub struct MemoryStore {
    rows: RwLock<Rows>,
    capacity: usize,
    lifetime: Duration,
    clock: Clock,
}

#[derive(Default)]
struct Rows {
    subjects: HashMap<Subject, HashMap<GrantId, SealedToken>>,
    len: usize,
}

impl MemoryStore {
    /// Creates an empty store with the default limits.
    pub fn new() -> Self {
        Self {
            rows: RwLock::default(),
            capacity: CAPACITY,
            lifetime: LIFETIME,
            clock: Clock::system(),
        }
    }

    /// Sets how many grants the store holds at most. The default is 100 000.
    #[must_use]
    pub const fn with_capacity(mut self, grants: usize) -> Self {
        self.capacity = grants;
        self
    }

    /// Sets how long a grant is kept after its token was obtained. The default is 365 days.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the clock. The default is the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Ignores poisoning: every change is a single map operation, so the rows stay consistent.
    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_younger(&self, row: &SealedToken, age: Duration) -> bool {
        self.clock.now().duration_since(row.obtained_at()).unwrap_or_default() < age
    }

    fn find(&self, covers: impl Fn(&SealedToken) -> bool) -> Vec<SealedToken> {
        let rows = self.read();
        let all = rows.subjects.values().flat_map(HashMap::values);
        newest_first(all.filter(|row| covers(row) && self.is_younger(row, self.lifetime)))
    }
}

impl Rows {
    fn retain(&mut self, keep: impl Fn(&SealedToken) -> bool) -> usize {
        let before = self.len;
        self.subjects.retain(|_, grants| {
            grants.retain(|_, row| keep(row));
            !grants.is_empty()
        });
        self.len = self.subjects.values().map(HashMap::len).sum();
        before - self.len
    }
}

fn newest_first<'a>(rows: impl Iterator<Item = &'a SealedToken>) -> Vec<SealedToken> {
    let mut rows: Vec<_> = rows.cloned().collect();
    rows.sort_by_key(|row| Reverse(row.version()));
    rows
}

impl TokenStore for MemoryStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let rows = self.read();
        let grants = rows.subjects.get(subject).into_iter().flat_map(HashMap::values);
        Ok(newest_first(grants.filter(|row| self.is_younger(row, self.lifetime))))
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        let (subject, grant) = (token.key().subject(), token.key().grant());
        subject.validate()?;
        let mut rows = self.write();
        let new = !rows.subjects.get(subject).is_some_and(|grants| grants.contains_key(grant));
        if new && rows.len >= self.capacity {
            rows.retain(|row| self.is_younger(row, self.lifetime));
            if rows.len >= self.capacity {
                return Err(StoreError::Full);
            }
        }
        let grants = rows.subjects.entry(subject.clone()).or_default();
        grants.insert(grant.clone(), token.clone());
        rows.len += usize::from(new);
        Ok(())
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let mut rows = self.write();
        let Some(grants) = rows.subjects.get_mut(key.subject()) else {
            return Ok(false);
        };
        if grants.get(key.grant()).is_none_or(|row| row.version() != version) {
            return Ok(false);
        }
        grants.remove(key.grant());
        if grants.is_empty() {
            rows.subjects.remove(key.subject());
        }
        rows.len -= 1;
        Ok(true)
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let mut rows = self.write();
        let grants = rows.subjects.get_mut(token.key().subject());
        let row = grants.and_then(|grants| grants.get_mut(token.key().grant()));
        let Some(row) = row.filter(|row| row.version() == token.version()) else {
            return Ok(false);
        };
        row.clone_from(token);
        Ok(true)
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        Ok(self.find(|row| row.sites().iter().any(|site| site == site_id)))
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        Ok(self.find(|row| row.workspaces().iter().any(|workspace| workspace == workspace_id)))
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        Ok(self.write().retain(|row| self.is_younger(row, age)) as u64)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("grants", &self.read().len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn row(user: u32, obtained_at: SystemTime) -> SealedToken {
        let key = TokenKey::new(Subject::user(user), GrantId::default());
        SealedToken::new(key, TokenVersion::from_i64(1).unwrap(), vec![1], obtained_at)
    }

    #[tokio::test]
    async fn a_full_store_refuses_new_grants_until_old_ones_are_over() {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Clock::manual(start);
        let store = MemoryStore::new()
            .with_capacity(2)
            .with_lifetime(Duration::from_secs(60))
            .with_clock(clock.clone());
        store.save(&row(1, start)).await.unwrap();
        store.save(&row(2, start)).await.unwrap();
        store.save(&row(2, start)).await.expect("an existing grant can be replaced");
        assert!(matches!(store.save(&row(3, start)).await, Err(StoreError::Full)));
        clock.advance(Duration::from_secs(60));
        assert!(store.load(&Subject::user(1)).await.unwrap().is_empty(), "expired");
        store.save(&row(3, clock.now())).await.expect("the expired grants were removed");
        assert_eq!(store.load(&Subject::user(3)).await.unwrap().len(), 1);
    }
}

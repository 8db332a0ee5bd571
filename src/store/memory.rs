//! An in-memory store for tests and demos.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::Bound;
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
    subjects: BTreeMap<Subject, BTreeMap<GrantId, SealedToken>>,
    len: usize,
    sites: Index,
    workspaces: Index,
}

/// The grants that cover each id.
#[derive(Default)]
struct Index(HashMap<String, HashSet<TokenKey>>);

impl Index {
    fn add(&mut self, key: &TokenKey, ids: &[String]) {
        for id in ids {
            self.0.entry(id.clone()).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &TokenKey, ids: &[String]) {
        for id in ids {
            if let Some(keys) = self.0.get_mut(id) {
                keys.remove(key);
                if keys.is_empty() {
                    self.0.remove(id);
                }
            }
        }
    }
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

    /// Ignores poisoning: no operation can panic half-way, so the rows stay consistent.
    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_younger(&self, row: &SealedToken, age: Duration) -> bool {
        self.clock.now().duration_since(row.obtained_at()).unwrap_or_default() < age
    }

    fn find(&self, index: impl Fn(&Rows) -> &Index, id: &str) -> Vec<SealedToken> {
        let rows = self.read();
        let keys = index(&rows).0.get(id).into_iter().flatten();
        let found = keys.filter_map(|key| rows.get(key));
        newest_first(found.filter(|row| self.is_younger(row, self.lifetime)))
    }
}

impl Rows {
    fn get(&self, key: &TokenKey) -> Option<&SealedToken> {
        self.subjects.get(key.subject())?.get(key.grant())
    }

    fn insert(&mut self, row: SealedToken) {
        self.remove(row.key());
        self.sites.add(row.key(), row.sites());
        self.workspaces.add(row.key(), row.workspaces());
        let grants = self.subjects.entry(row.key().subject().clone()).or_default();
        grants.insert(row.key().grant().clone(), row);
        self.len += 1;
    }

    fn remove(&mut self, key: &TokenKey) {
        let Some(grants) = self.subjects.get_mut(key.subject()) else { return };
        let Some(row) = grants.remove(key.grant()) else { return };
        if grants.is_empty() {
            self.subjects.remove(key.subject());
        }
        self.sites.remove(key, row.sites());
        self.workspaces.remove(key, row.workspaces());
        self.len -= 1;
    }

    fn retain(&mut self, keep: impl Fn(&SealedToken) -> bool) -> usize {
        let all = self.subjects.values().flat_map(BTreeMap::values);
        let over: Vec<_> = all.filter(|row| !keep(row)).map(|row| row.key().clone()).collect();
        for key in &over {
            self.remove(key);
        }
        over.len()
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
        let grants = rows.subjects.get(subject).into_iter().flat_map(BTreeMap::values);
        Ok(newest_first(grants.filter(|row| self.is_younger(row, self.lifetime))))
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        token.key().subject().validate()?;
        let mut rows = self.write();
        if rows.get(token.key()).is_none() && rows.len >= self.capacity {
            rows.retain(|row| self.is_younger(row, self.lifetime));
            if rows.len >= self.capacity {
                return Err(StoreError::Full);
            }
        }
        rows.insert(token.clone());
        Ok(())
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let mut rows = self.write();
        let there = rows.get(key).is_some_and(|row| row.version() == version);
        if there {
            rows.remove(key);
        }
        Ok(there)
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let mut rows = self.write();
        let there = rows.get(token.key()).is_some_and(|row| row.version() == token.version());
        if there {
            rows.insert(token.clone());
        }
        Ok(there)
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        Ok(self.find(|rows| &rows.sites, site_id))
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        Ok(self.find(|rows| &rows.workspaces, workspace_id))
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let rows = self.read();
        let from = after.map_or(Bound::Unbounded, |key| Bound::Included(key.subject()));
        let subjects = rows.subjects.range::<Subject, _>((from, Bound::Unbounded));
        let rows = subjects.flat_map(|(_, grants)| grants.values());
        let rows = rows.filter(|row| after.is_none_or(|after| row.key() > after));
        Ok(rows.filter(|row| self.is_younger(row, self.lifetime)).take(limit).cloned().collect())
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

    #[tokio::test]
    async fn what_goes_leaves_nothing_in_the_indexes() {
        let store = MemoryStore::new().with_lifetime(Duration::MAX);
        let covering = |user, site: &str| {
            let ids = vec![site.to_owned(), site.to_owned()];
            row(user, UNIX_EPOCH).with_sites(ids.clone()).with_workspaces(ids)
        };
        for user in 0..4 {
            store.save(&covering(user, "a")).await.unwrap();
        }
        store.save(&covering(0, "b")).await.unwrap();
        store.update(&covering(1, "b")).await.unwrap();
        let gone = covering(2, "a");
        store.remove(gone.key(), gone.version()).await.unwrap();
        assert_eq!(store.by_site("a").await.unwrap().len(), 1);
        assert_eq!(store.by_workspace("b").await.unwrap().len(), 2);
        assert_eq!(store.purge_older_than(Duration::ZERO).await.unwrap(), 3);
        let rows = store.read();
        assert!(rows.sites.0.is_empty() && rows.workspaces.0.is_empty() && rows.len == 0);
    }
}

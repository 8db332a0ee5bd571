//! The contract suite, run for every store, and a check that it detects broken stores.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, MemoryStore, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion,
};
use tower_webflow_auth::testing::{ContractReport, store_contract};

#[tokio::test]
async fn memory_keeps_the_contract() {
    let store = MemoryStore::new().with_lifetime(Duration::MAX);
    assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
}

/// Repeatedly updates, removes and replaces a row concurrently: a removal that reports success has
/// removed the row, and the newer row stays.
pub(crate) async fn concurrent_operations_are_serialized(store: impl TokenStore) {
    let store = Arc::new(store);
    let run = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    for round in 0..60 {
        let key = TokenKey::new(Subject::user(format!("{run}-{round}")), GrantId::default());
        let row = |version, site: &str| {
            let version = TokenVersion::from_i64(version).unwrap();
            let sealed = SealedToken::new(key.clone(), version, vec![1], UNIX_EPOCH);
            sealed.with_sites(vec![format!("{run}-{site}")])
        };
        store.save(&row(1, "old")).await.unwrap();
        let update = tokio::spawn({
            let (store, learned) = (Arc::clone(&store), row(1, "learned"));
            async move { store.update(&learned).await.unwrap() }
        });
        let change = tokio::spawn({
            let (store, key, newer) = (Arc::clone(&store), key.clone(), row(2, "newer"));
            async move {
                if round % 2 == 0 {
                    assert!(store.remove(&key, row_version(1)).await.unwrap());
                } else {
                    store.save(&newer).await.unwrap();
                }
            }
        });
        // Concurrent lookups by site clean up stale index entries.
        for _ in 0..3 {
            store.by_site(&format!("{run}-newer")).await.unwrap();
            store.by_site(&format!("{run}-learned")).await.unwrap();
        }
        update.await.unwrap();
        change.await.unwrap();
        let left = store.load(key.subject()).await.unwrap();
        let expected = if round % 2 == 0 { vec![] } else { vec![row(2, "newer")] };
        assert_eq!(left, expected, "round {round}");
        if round % 2 == 1 {
            let found = store.by_site(&format!("{run}-newer")).await.unwrap();
            assert!(found.iter().any(|row| row.key() == &key), "round {round}");
            assert!(store.remove(&key, row_version(2)).await.unwrap());
        }
        assert!(store.by_site(&format!("{run}-learned")).await.unwrap().is_empty());
    }
}

fn row_version(version: i64) -> TokenVersion {
    TokenVersion::from_i64(version).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn late_update_restores_nothing_in_memory() {
    concurrent_operations_are_serialized(MemoryStore::new().with_lifetime(Duration::MAX)).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn late_update_restores_nothing_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = tower_webflow_auth::store::SqliteStore::open(path).await.unwrap();
    concurrent_operations_are_serialized(store).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postgres: run scripts/test, or set TEST_POSTGRES_URL and pass --ignored"]
async fn late_update_restores_nothing_in_postgres() {
    let url = std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL: run scripts/test");
    let store = tower_webflow_auth::store::PostgresStore::builder()
        .table("updates")
        .connect(&url)
        .await
        .unwrap();
    concurrent_operations_are_serialized(store).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run scripts/test, or set TEST_REDIS_URL and pass --ignored"]
async fn late_update_restores_nothing_in_redis() {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run scripts/test");
    let store = tower_webflow_auth::store::RedisStore::builder()
        .key_prefix("updates")
        .connect(&url)
        .await
        .unwrap();
    concurrent_operations_are_serialized(store).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = tower_webflow_auth::store::SqliteStore::open(path).await.unwrap();
    assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
}

#[cfg(feature = "postgres")]
#[tokio::test]
#[ignore = "needs Postgres: run scripts/test, or set TEST_POSTGRES_URL and pass --ignored"]
async fn postgres_keeps_the_contract() {
    let url = std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL: run scripts/test");
    let store = tower_webflow_auth::store::PostgresStore::builder()
        .table("contract")
        .connect(&url)
        .await
        .unwrap();
    assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
}

#[cfg(feature = "redis")]
#[tokio::test]
#[ignore = "needs Redis: run scripts/test, or set TEST_REDIS_URL and pass --ignored"]
async fn redis_keeps_the_contract() {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run scripts/test");
    let store = tower_webflow_auth::store::RedisStore::builder()
        .key_prefix("contract")
        .connect(&url)
        .await
        .unwrap();
    assert_eq!(store_contract(store).await.unwrap(), ContractReport::default());
}

/// A custom store with only the three required methods, and a deliberate mistake.
struct Broken {
    rows: Mutex<HashMap<(String, String), SealedToken>>,
    aborted: AtomicBool,
    mistake: Mistake,
}

/// Breaks the store unless it is leaked.
struct OpenTransaction<'s>(&'s AtomicBool);

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(PartialEq)]
enum Mistake {
    None,
    FoldsCase,
    IgnoresVersions,
    KeepsOneGrant,
    TakesAnySubject,
    UpdatesWithoutLooking,
    UpdatesNothing,
    BreaksWhenDropped,
}

impl Broken {
    fn with(mistake: Mistake) -> Self {
        Self { rows: Mutex::default(), aborted: AtomicBool::default(), mistake }
    }

    fn key(&self, key: &TokenKey) -> (String, String) {
        let subject = key.subject().as_str();
        let subject = match self.mistake {
            Mistake::FoldsCase => subject.to_lowercase(),
            _ => subject.to_owned(),
        };
        let grant = match self.mistake {
            Mistake::KeepsOneGrant => String::new(),
            _ => key.grant().as_str().to_owned(),
        };
        (subject, grant)
    }
}

impl TokenStore for Broken {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let (wanted, _) = self.key(&TokenKey::new(subject.clone(), GrantId::default()));
        let rows = self.rows.lock().unwrap();
        let mut found: Vec<_> =
            rows.iter().filter(|((of, _), _)| *of == wanted).map(|(_, row)| row.clone()).collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.version()));
        Ok(found)
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        if self.mistake != Mistake::TakesAnySubject {
            token.key().subject().validate()?;
        }
        if self.mistake == Mistake::BreaksWhenDropped {
            if self.aborted.load(Ordering::Relaxed) {
                return Err(StoreError::unavailable("a transaction is open"));
            }
            let transaction = OpenTransaction(&self.aborted);
            tokio::task::yield_now().await;
            std::mem::forget(transaction);
        }
        self.rows.lock().unwrap().insert(self.key(token.key()), token.clone());
        Ok(())
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock().unwrap();
        let key = self.key(token.key());
        let there = rows.get(&key).is_some_and(|row| row.version() == token.version());
        match self.mistake {
            Mistake::UpdatesWithoutLooking => {
                rows.insert(key, token.clone());
            }
            Mistake::UpdatesNothing => {}
            _ if there => {
                rows.insert(key, token.clone());
            }
            _ => {}
        }
        Ok(there)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock().unwrap();
        let key = self.key(key);
        let matches = rows.get(&key).is_some_and(|row| {
            row.version() == version || self.mistake == Mistake::IgnoresVersions
        });
        Ok(matches && rows.remove(&key).is_some())
    }
}

/// A store with the trait's provided `update`.
struct ThreeMethods(Broken);

impl TokenStore for ThreeMethods {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.0.load(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        self.0.save(token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.0.remove(key, version).await
    }
}

#[tokio::test]
async fn three_methods_are_enough() {
    let report = store_contract(ThreeMethods(Broken::with(Mistake::None))).await.unwrap();
    assert_eq!(report.unsupported, ["by_site", "by_workspace", "page", "purge_older_than"]);
}

#[tokio::test]
async fn broken_stores_fail_the_rule_they_break() {
    for (mistake, rule) in [
        (Mistake::FoldsCase, "matched exactly"),
        (Mistake::IgnoresVersions, "the version it names"),
        (Mistake::KeepsOneGrant, "grants are separate"),
        (Mistake::TakesAnySubject, "InvalidSubject"),
        (Mistake::UpdatesWithoutLooking, "the version it has"),
        (Mistake::UpdatesNothing, "the version it has"),
        (Mistake::BreaksWhenDropped, "a dropped write"),
    ] {
        let violation = store_contract(Broken::with(mistake)).await.unwrap_err();
        assert!(violation.rule().contains(rule), "{violation}");
    }
}

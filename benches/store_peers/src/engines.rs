//! This crate's stores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, PostgresStore, RedisStore, SealedToken, SqliteStore, TokenKey, TokenStore,
    TokenVersion,
};

use crate::{BYTES, ROWS, Side, operation};

pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/with-servers"))
}

pub(crate) async fn sqlite(folder: &Path) -> Side {
    std::fs::create_dir_all(folder).unwrap();
    side(SqliteStore::open(folder.join("ours.db")).await.unwrap()).await
}

pub(crate) async fn postgres() -> Side {
    let url = setting("TEST_POSTGRES_URL");
    side(PostgresStore::builder().table("peers").connect(&url).await.unwrap()).await
}

pub(crate) async fn redis() -> Side {
    let url = setting("TEST_REDIS_URL");
    side(RedisStore::builder().key_prefix("peers").connect(&url).await.unwrap()).await
}

/// Whether commits reach the disk, as they do by default. The throwaway server's do not.
pub(crate) async fn set_fsync(value: &str) {
    let mut connection = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    let set = format!("ALTER SYSTEM SET fsync = {value}");
    connection.execute(AssertSqlSafe(set)).await.unwrap();
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    connection.close().await.unwrap();
}

/// A grant obtained now, so that a save is that of a sign-in of a known user.
fn row(number: usize) -> SealedToken {
    static VERSION: AtomicI64 = AtomicI64::new(1);
    let key = TokenKey::new(Subject::user(number), GrantId::default());
    let version = TokenVersion::from_i64(VERSION.fetch_add(1, Ordering::Relaxed)).unwrap();
    let id = |kind: usize| format!("{kind:08x}{number:016x}");
    SealedToken::new(key, version, vec![7; BYTES], SystemTime::now())
        .with_sites(vec![id(1), id(2)])
        .with_workspaces(vec![id(3)])
}

async fn side(store: impl TokenStore) -> Side {
    let store = Arc::new(store);
    for number in 0..ROWS {
        store.save(&row(number)).await.unwrap();
    }
    let loading = Arc::clone(&store);
    Side {
        load: operation(move |number| {
            let store = Arc::clone(&loading);
            async move {
                let found = store.load(&Subject::user(number)).await.unwrap();
                assert_eq!(found.len(), 1);
            }
        }),
        save: operation(move |number| {
            let store = Arc::clone(&store);
            async move { store.save(&row(number)).await.unwrap() }
        }),
    }
}

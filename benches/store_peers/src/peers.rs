//! The stores of tower-sessions, filled by `create`: in Redis their `save` needs a key that exists.

use std::path::Path;
use std::sync::Arc;

use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use sqlx_08::postgres::PgPoolOptions;
use sqlx_08::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use time::{Duration, OffsetDateTime};
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::{PostgresStore, SqliteStore};

use crate::engines::setting;
use crate::{BYTES, ROWS, Side, operation};

pub(crate) async fn sqlite(folder: &Path) -> Side {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("theirs.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // As many connections as ours, without a ping before each use.
    let pool = SqlitePoolOptions::new()
        .max_connections(5)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .unwrap();
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    side(store).await
}

pub(crate) async fn postgres() -> Side {
    // Ten connections, the default of both sides.
    let pool = PgPoolOptions::new()
        .test_before_acquire(false)
        .connect(&setting("TEST_POSTGRES_URL"))
        .await
        .unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    side(store).await
}

pub(crate) async fn redis() -> Side {
    let config = Config::from_url(&setting("TEST_REDIS_URL")).unwrap();
    let pool = Pool::new(config, None, None, None, 6).unwrap();
    pool.init().await.unwrap();
    side(RedisStore::new(pool)).await
}

fn record(id: Id) -> Record {
    let mut data = std::collections::HashMap::new();
    // A string, since msgpack would take two bytes for some numbers.
    data.insert("grant".to_owned(), "7".repeat(BYTES).into());
    Record { id, data, expiry_date: OffsetDateTime::now_utc() + Duration::days(30) }
}

async fn side(store: impl SessionStore) -> Side {
    let store = Arc::new(store);
    let mut ids = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let mut record = record(Id::default());
        store.create(&mut record).await.unwrap();
        ids.push(record.id);
    }
    let ids: Arc<[Id]> = ids.into();
    let (loading, loaded) = (Arc::clone(&store), Arc::clone(&ids));
    Side {
        load: operation(move |number| {
            let (store, id) = (Arc::clone(&loading), loaded[number]);
            async move { assert!(store.load(&id).await.unwrap().is_some()) }
        }),
        save: operation(move |number| {
            let (store, id) = (Arc::clone(&store), ids[number]);
            async move { store.save(&record(id)).await.unwrap() }
        }),
    }
}

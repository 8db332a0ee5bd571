//! Postgres and Redis: migrations, races, outages, and stored data.

use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use sqlx::{Connection, Executor, PgConnection, Row};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{
    GrantId, PostgresStore, RedisStore, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion,
};

use crate::support::App;
use crate::support::port::free_address;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}

async fn postgres(table: &str) -> PostgresStore {
    PostgresStore::builder().table(table).connect(&setting("TEST_POSTGRES_URL")).await.unwrap()
}

async fn redis(prefix: &str) -> RedisStore {
    RedisStore::builder().key_prefix(prefix).connect(&setting("TEST_REDIS_URL")).await.unwrap()
}

async fn sql(statements: &'static str) {
    let mut connection = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    connection.execute(statements).await.unwrap();
}

fn row(user: &str, version: i64) -> SealedToken {
    let key = TokenKey::new(Subject::user(user), GrantId::default());
    SealedToken::new(
        key,
        TokenVersion::from_i64(version).unwrap(),
        vec![1, 2, 3],
        SystemTime::now(),
    )
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn ten_instances_start_in_parallel_on_an_empty_database() {
    let starts = (0..10).map(|_| tokio::spawn(postgres("ten_at_once"))).collect::<Vec<_>>();
    for start in starts {
        start.await.unwrap().healthy().await.unwrap();
    }
    let elsewhere = PostgresStore::builder().schema("apart").table("ten_at_once");
    let elsewhere = elsewhere.connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    postgres("ten_at_once").await.save(&row("ada", 1)).await.unwrap();
    assert!(
        elsewhere.load(&Subject::user("ada")).await.unwrap().is_empty(),
        "schemas are separate"
    );
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn newer_schema_is_refused_at_start() {
    postgres("newer").await;
    sql("INSERT INTO newer_schema VALUES (99)").await;
    let error = PostgresStore::builder()
        .table("newer")
        .connect(&setting("TEST_POSTGRES_URL"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::SchemaTooNew { found: 99, known: 1, .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn existing_pool_is_used_and_names_are_checked() {
    let pool = sqlx::PgPool::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    let store = PostgresStore::builder().table("own_pool").with_pool(pool).unwrap();
    store.save(&row("ada", 1)).await.unwrap();
    assert_eq!(store.load(&Subject::user("ada")).await.unwrap().len(), 1);
    let bad =
        PostgresStore::builder().table("x; DROP TABLE y").connect_lazy("postgres://localhost/");
    assert!(bad.is_err());
}

#[tokio::test]
async fn missing_server_is_an_error_at_start_unless_lazy() {
    let nobody = free_address();
    let postgres = format!("postgres://app@{nobody}/app");
    assert!(PostgresStore::connect(&postgres).await.is_err());
    let lazy = PostgresStore::builder().connect_lazy(&postgres).unwrap();
    assert!(lazy.load(&Subject::user("ada")).await.is_err());
    let redis = format!("redis://{nobody}/");
    assert!(RedisStore::connect(&redis).await.is_err());
    let lazy = RedisStore::builder().connect_lazy(&redis).unwrap();
    assert!(lazy.load(&Subject::user("ada")).await.is_err());
    assert!(RedisStore::connect("http://localhost/").await.is_err());
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn dropped_tables_are_an_outage() {
    let store = postgres("dropped").await;
    store.save(&row("ada", 1)).await.unwrap();
    sql("DROP TABLE dropped").await;
    assert!(matches!(store.load(&Subject::user("ada")).await, Err(StoreError::Unavailable(_))));
    assert!(store.healthy().await.is_err());
}

#[tokio::test]
#[ignore = "needs Postgres: run scripts/test"]
async fn locked_table_is_an_outage_after_the_statement_timeout() {
    let store = postgres("locked").await;
    let mut other = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("LOCK TABLE locked").await.unwrap();
    let started = std::time::Instant::now();
    assert!(store.load(&Subject::user("ada")).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(8));
    transaction.rollback().await.unwrap();
    store.load(&Subject::user("ada")).await.unwrap();
}

mod k2 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn swapped_truncated_or_restored_rows_yield_no_token() {
        let store = postgres("swapped").await;
        let app = App::with(|builder| builder.store(store)).await;
        let (mut ada, mut bob) = (app.connected().await, app.connected().await);
        let subject = |page: tower_webflow_auth::testing::Page| page.json()["subject"].clone();
        let ada_is = subject(ada.visit(&app.url("/whoami")).await.unwrap());
        let bob_is = subject(bob.visit(&app.url("/whoami")).await.unwrap());
        assert_ne!(ada_is, bob_is);
        sql("CREATE TABLE backup AS SELECT * FROM swapped").await;

        sql("UPDATE swapped a SET sealed = b.sealed FROM swapped b WHERE a.subject <> b.subject")
            .await;
        app.clock.advance(Duration::from_secs(60));
        for browser in [&mut ada, &mut bob] {
            let page = browser.fetch(Method::GET, &app.url("/whoami")).await.unwrap();
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "a swapped row is rejected");
        }
        sql("UPDATE swapped a SET sealed = substr(b.sealed, 1, 40) FROM backup b \
             WHERE a.subject = b.subject")
        .await;
        app.clock.advance(Duration::from_secs(60));
        let page = ada.fetch(Method::GET, &app.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "a truncated row is rejected");

        sql("UPDATE swapped a SET sealed = b.sealed, version = a.version + 1 FROM backup b \
             WHERE a.subject = b.subject")
        .await;
        app.clock.advance(Duration::from_secs(60));
        let page = ada.fetch(Method::GET, &app.url("/whoami")).await.unwrap();
        assert_eq!(
            page.status,
            StatusCode::UNAUTHORIZED,
            "old bytes under a new version are rejected"
        );

        sql("UPDATE swapped a SET version = b.version FROM backup b WHERE a.subject = b.subject")
            .await;
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(subject(ada.fetch(Method::GET, &app.url("/whoami")).await.unwrap()), ada_is);
    }
}

mod n10 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres: run scripts/test"]
    async fn thousand_cold_requests_make_one_select() {
        sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
        let store = postgres("counted").await;
        let app = App::with(|builder| builder.store(store)).await;
        let browser = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        let before = selects().await;
        let requests = (0..1000).map(|_| {
            let (mut browser, url) = (browser.clone(), app.url("/whoami"));
            async move { browser.fetch(Method::GET, &url).await.unwrap().status }
        });
        let statuses = futures::future::join_all(requests).await;
        assert!(statuses.iter().all(|status| *status == StatusCode::OK));
        assert_eq!(selects().await - before, 1);
    }
}

async fn selects() -> i64 {
    let mut connection = PgConnection::connect(&setting("TEST_POSTGRES_URL")).await.unwrap();
    let query = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
         WHERE query LIKE 'SELECT subject,%counted%'";
    connection.fetch_one(query).await.unwrap().get(0)
}

mod k3 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs Redis: run scripts/test"]
    async fn servers_never_see_a_plain_token() {
        let app = App::with({
            let store = redis("clear").await;
            |builder| builder.store(store)
        })
        .await;
        app.connected().await;
        let token = app.fake.latest_token().unwrap();
        let client = redis::Client::open(setting("TEST_REDIS_URL")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("clear:t:*").query_async(&mut connection).await.unwrap();
        assert_eq!(keys.len(), 1);
        let values: Vec<Vec<u8>> =
            redis::cmd("HVALS").arg(&keys[0]).query_async(&mut connection).await.unwrap();
        let value = String::from_utf8_lossy(&values[0]);
        assert!(!value.contains(&token) && !value.contains("sites:read"), "{value}");
    }
}

#[tokio::test]
#[ignore = "needs Redis: run scripts/test"]
async fn indexes_do_not_keep_removed_grants() {
    let store = redis("indexes").await;
    for version in 0..50 {
        let token = row(&format!("session {version}"), version).with_sites(vec!["s".to_owned()]);
        store.save(&token).await.unwrap();
        assert!(store.remove(token.key(), token.version()).await.unwrap());
    }
    let client = redis::Client::open(setting("TEST_REDIS_URL")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("indexes:*").query_async(&mut connection).await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");
}

//! The cold path: a request through the layer without its cache, beside one read of the same row by
//! its primary key, with the engine's own client. One at a time, in turns.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::config::CacheConfig;
use tower_webflow_auth::store::{PostgresStore, RedisStore, SqliteStore, TokenStore};

use crate::Selection;
use crate::engines::setting;
use crate::support::{ask_ok, begin, builder, finish, lean_webflow, median};

const USERS: usize = 200;
const ROUNDS: usize = 11;

pub(crate) async fn measure(folder: &Path, selection: &Selection) {
    println!();
    println!("| engine | cold request, µs | read, µs | request : read | lowest | highest |");
    println!("| --- | --- | --- | --- | --- | --- |");
    if selection.has_engine("sqlite") {
        let path = folder.join("cold.db");
        let (mut app, cookies) = app(SqliteStore::open(&path).await.unwrap()).await;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new()
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .unwrap();
        let subjects = "SELECT subject FROM webflow_tokens";
        let subjects: Vec<Vec<u8>> = sqlx::query_scalar(subjects).fetch_all(&pool).await.unwrap();
        let read = |user: usize| {
            let query = "SELECT sealed FROM webflow_tokens WHERE subject = ?1 AND grant_id = ?2";
            let query = sqlx::query_scalar::<_, Vec<u8>>(query).bind(&subjects[user]);
            let (query, pool) = (query.bind("default"), &pool);
            async move { drop(query.fetch_one(pool).await.unwrap()) }
        };
        compare("SQLite", &mut app, &cookies, read).await;
    }
    if selection.has_engine("postgres") {
        let url = setting("TEST_POSTGRES_URL");
        let store = PostgresStore::builder().table("cold").connect(&url).await.unwrap();
        let (mut app, cookies) = app(store).await;
        let pool = PgPoolOptions::new().test_before_acquire(false).connect(&url).await.unwrap();
        // As autovacuum does within a minute; without statistics the planner reads the whole table.
        sqlx::query("ANALYZE cold").execute(&pool).await.unwrap();
        let subjects: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT subject FROM cold").fetch_all(&pool).await.unwrap();
        let read = |user: usize| {
            let query = "SELECT sealed FROM cold WHERE subject = $1 AND grant_id = $2";
            let query = sqlx::query_scalar::<_, Vec<u8>>(query).bind(&subjects[user]);
            let (query, pool) = (query.bind("default"), &pool);
            async move { drop(query.fetch_one(pool).await.unwrap()) }
        };
        compare("Postgres", &mut app, &cookies, read).await;
    }
    if selection.has_engine("redis") {
        let url = setting("TEST_REDIS_URL");
        let store = RedisStore::builder().key_prefix("cold").connect(&url).await.unwrap();
        let (mut app, cookies) = app(store).await;
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("cold:t:*").query_async(&mut connection).await.unwrap();
        let read = |user: usize| {
            let (key, mut connection) = (&keys[user], connection.clone());
            async move {
                let get = redis::Cmd::hget(key, "default");
                let value: Vec<u8> = get.query_async(&mut connection).await.unwrap();
                drop(value);
            }
        };
        compare("Redis", &mut app, &cookies, read).await;
    }
}

/// The application, and the cookies of users who have signed in.
async fn app(store: impl TokenStore) -> (Router, Vec<String>) {
    let auth = builder(lean_webflow()).store(store).cache(CacheConfig::off()).build().unwrap();
    let handler = |token: WebflowToken| async move {
        drop(std::hint::black_box(token));
        "ok"
    };
    let mut app = Router::new().route("/", get(handler)).layer(auth).with_state(());
    let mut cookies = Vec::with_capacity(USERS);
    for _ in 0..USERS {
        let begun = begin(&mut app).await;
        cookies.push(finish(&mut app, &begun.callback(), &begun.cookie).await);
    }
    (app, cookies)
}

async fn compare<F: Future<Output = ()>>(
    engine: &str,
    app: &mut Router,
    cookies: &[String],
    read: impl Fn(usize) -> F,
) {
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let (mut requests, mut reads) = (Vec::new(), Vec::new());
        for turn in 0..2 * USERS {
            let user = turn % USERS;
            let started = Instant::now();
            ask_ok(app, &cookies[user]).await;
            let asked = Instant::now();
            read(user).await;
            requests.push(asked - started);
            reads.push(asked.elapsed());
        }
        let micros = |times: Vec<Duration>| median(times.iter().map(|it| it.as_secs_f64() * 1e6));
        rounds.push((micros(requests), micros(reads)));
    }
    // The first round warms up.
    let rounds = &rounds[1..];
    let mut ratios: Vec<_> = rounds.iter().map(|(request, read)| request / read).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "| {engine} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
        median(rounds.iter().map(|it| it.0)),
        median(rounds.iter().map(|it| it.1)),
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1],
    );
}

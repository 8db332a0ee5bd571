//! One look-up by subject at 1 000, 100 000 and 1 000 000 stored grants, in SQLite and in Postgres.
//!
//! The databases generate the rows. The bench measures `TokenStore::load` of random subjects, one at
//! a time, without the cache.
//!
//! ```sh
//! scripts/with-servers --only postgres \
//!     cargo bench --features sqlite,postgres,testing --bench stores
//! ```
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{PostgresStore, SqliteStore, TokenStore};

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const LOOK_UPS: u64 = 2_000;

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs this too, with the smallest size only.
    let quick = std::env::args().any(|argument| argument == "--test");
    let sizes = if quick { &SIZES[..1] } else { &SIZES[..] };
    println!("| database | grants | p50, µs | p99, µs |");
    println!("| --- | --- | --- | --- |");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let sqlite = SqliteStore::open(&path).await.unwrap();
    let mut filled = 0;
    for &size in sizes {
        let mut connection =
            SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT {filled} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {size}) \
             INSERT INTO webflow_tokens (subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
             SELECT CAST('user:' || i AS BLOB), 'default', i, randomblob(300), 1800000000, '[]', '[]' FROM n"
        );
        connection.execute(AssertSqlSafe(fill)).await.unwrap();
        connection.close().await.unwrap();
        filled = size;
        measure("SQLite", &sqlite, size).await;
    }
    let Ok(url) = std::env::var("TEST_POSTGRES_URL") else {
        println!("Postgres is skipped: run this with scripts/with-servers");
        return;
    };
    let postgres = PostgresStore::builder().table("bench").connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut filled = 0;
    for &size in sizes {
        let fill = format!(
            "INSERT INTO bench SELECT convert_to('user:' || i, 'UTF8'), 'default', i, \
             decode(repeat(md5(i::text), 18), 'hex'), 1800000000, '{{}}', '{{}}' \
             FROM generate_series({filled}, {size} - 1) i"
        );
        connection.execute(AssertSqlSafe(fill)).await.unwrap();
        connection.execute("ANALYZE bench").await.unwrap();
        filled = size;
        measure("Postgres", &postgres, size).await;
    }
}

async fn measure(engine: &str, store: &impl TokenStore, size: u64) {
    let mut took = Vec::new();
    // A multiplier that is coprime to the sizes visits subjects in a scattered order.
    for i in 0..LOOK_UPS {
        let subject = Subject::user((i * 7_919 + 13) % size);
        let started = Instant::now();
        let found = store.load(&subject).await.unwrap();
        took.push(started.elapsed());
        assert_eq!(found.len(), 1);
    }
    took.sort();
    let at = |percent: usize| took[took.len() * percent / 100].max(Duration::from_micros(1));
    println!("| {engine} | {size} | {} | {} |", at(50).as_micros(), at(99).as_micros());
}

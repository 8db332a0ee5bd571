//! Lookups by subject and by site at 1 000, 100 000 and 1 000 000 stored grants, in SQLite and in
//! Postgres.
//!
//! The databases generate the rows; each grant covers a whole workspace of eight sites. The bench
//! measures `TokenStore::load` and `TokenStore::by_site` of random rows, one at a time, without the
//! cache. Half of the sites are made up, as in webhooks of sites that nobody has connected.
//!
//! ```sh
//! scripts/with-servers --only postgres \
//!     cargo bench --features sqlite,postgres,testing --bench stores
//! ```
//!
//! A number as an argument is the most grants that are generated.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tower_webflow_auth::Subject;
use tower_webflow_auth::store::{PostgresStore, SqliteStore, TokenStore};

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const LOOKUPS: u64 = 2_000;

/// Sites of one grant.
const SITES: u64 = 8;

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs this too, with the smallest size only.
    let quick = std::env::args().any(|argument| argument == "--test");
    let most = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(u64::MAX);
    let sizes = SIZES.into_iter().filter(|&size| size <= if quick { SIZES[0] } else { most });
    println!("| database | grants | lookup | p50, µs | p99, µs |");
    println!("| --- | --- | --- | --- | --- |");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let sqlite = SqliteStore::open(&path).await.unwrap();
    let mut filled = 0;
    for size in sizes.clone() {
        let mut connection =
            SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        for fill in fill_sqlite(filled, size) {
            connection.execute(AssertSqlSafe(fill)).await.unwrap();
        }
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
    for size in sizes {
        connection.execute(AssertSqlSafe(fill_postgres(filled, size))).await.unwrap();
        connection.execute("ANALYZE bench").await.unwrap();
        filled = size;
        measure("Postgres", &postgres, size).await;
    }
}

/// Adds the grants from the first number up to the second.
fn fill_sqlite(from: u64, to: u64) -> [String; 2] {
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})"
    );
    let sites = format!(
        "WITH RECURSIVE s(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM s WHERE k + 1 < {SITES})"
    );
    [
        format!(
            "{numbers} INSERT INTO webflow_tokens \
             (id, subject, grant_id, version, sealed, obtained_at, sites, workspaces) \
             SELECT i + 1, CAST('user:' || i AS BLOB), 'default', i, randomblob(600), 1800000000, \
             ({sites} SELECT json_group_array(printf('%024x', i * {SITES} + k)) FROM s), \
             json_array('w' || i) FROM n"
        ),
        format!(
            "{numbers} INSERT INTO webflow_token_coverage (token_id, kind, covered) \
             SELECT i + 1, 's', printf('%024x', i * {SITES} + k) FROM n, ({sites} SELECT k FROM s)"
        ),
    ]
}

fn fill_postgres(from: u64, to: u64) -> String {
    format!(
        "INSERT INTO bench SELECT convert_to('user:' || i, 'UTF8'), 'default', i, \
         decode(repeat(md5(i::text), 37), 'hex'), 1800000000, \
         ARRAY(SELECT lpad(to_hex(i * {SITES} + k), 24, '0') FROM generate_series(0, {SITES} - 1) k), \
         ARRAY['w' || i] FROM generate_series({from}::bigint, {to} - 1) i"
    )
}

async fn measure(engine: &str, store: &impl TokenStore, grants: u64) {
    let mut by_subject = Vec::new();
    let mut by_site = Vec::new();
    for i in 0..LOOKUPS {
        // A multiplier that is coprime to the sizes visits rows in a scattered order.
        let row = (i * 7_919 + 13) % grants;
        let subject = Subject::user(row);
        let started = Instant::now();
        let found = store.load(&subject).await.unwrap();
        by_subject.push(started.elapsed());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sites().len() as u64, SITES);

        let made_up = i % 2 == 1;
        let site = row * SITES + i % SITES + if made_up { grants * SITES } else { 0 };
        let site = format!("{site:024x}");
        let started = Instant::now();
        let found = store.by_site(&site).await.unwrap();
        by_site.push(started.elapsed());
        assert_eq!(found.len(), usize::from(!made_up));
    }
    for (lookup, mut took) in [("by subject", by_subject), ("by site", by_site)] {
        took.sort();
        let at = |percent: usize| took[took.len() * percent / 100].max(Duration::from_micros(1));
        let (p50, p99) = (at(50).as_micros(), at(99).as_micros());
        println!("| {engine} | {grants} | {lookup} | {p50} | {p99} |");
    }
}

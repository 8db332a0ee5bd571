//! Rotates a key over many rows while two instances serve: figures for docs/performance.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{
    Keyring, Pace, Scope, Subject, WebflowAuthHandle, WebflowAuthLayer, config::CacheConfig,
};

/// The number of rows, from `RESEAL_ROWS`.
fn count() -> usize {
    std::env::var("RESEAL_ROWS").ok().and_then(|it| it.parse().ok()).unwrap_or(500)
}

fn subject(i: usize) -> Subject {
    Subject::user(format!("user-{i:07}"))
}

/// Reads grants until stopped. Returns how long each read took.
async fn serve(handle: WebflowAuthHandle, rows: usize, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let found = handle.tokens(&subject(turn * 7919 % rows)).await.unwrap();
        times.push(began.elapsed());
        assert_eq!(found.len(), 1, "no reader misses its grant");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_a_key_is_rotated_over_many_rows_while_two_instances_serve() {
    let rows = count();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webflow.db");
    let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
    let webflow = FakeWebflow::builder().start().await.unwrap();
    let instance = async |keys: &str| -> WebflowAuthLayer {
        webflow
            .layer("http://127.0.0.1:9/callback")
            .application_id(webflow.application_id())
            .keyring(Keyring::from_base64(keys).unwrap())
            .cache(CacheConfig::off())
            .store(SqliteStore::open(&path).await.unwrap())
            .build()
            .unwrap()
    };
    let before = instance(&old).await.handle();
    let imports = stream::iter(0..rows).for_each_concurrent(16, |i| {
        let (before, token) = (before.clone(), webflow.issue_token([Scope::SITES_READ]));
        async move { drop(before.import(&subject(i), token).await.unwrap()) }
    });
    let began = Instant::now();
    imports.await;
    println!("{rows} rows imported in {:?}", began.elapsed());

    let both = format!("{new},{old}");
    let serving = [instance(&both).await.handle(), instance(&both).await.handle()];
    let stop = Arc::new(AtomicBool::new(false));
    let readers = serving
        .each_ref()
        .map(|handle| tokio::spawn(serve(handle.clone(), rows, Arc::clone(&stop))));
    let began = Instant::now();
    let pace = Pace::per_second(u32::MAX);
    let written = serving[0].reseal(pace).filter(|row| std::future::ready(row.is_ok())).count();
    assert_eq!(written.await, rows);
    println!("{rows} rows resealed in {:?}", began.elapsed());
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let times = reader.await.unwrap();
        let at = |share: usize| times[times.len() * share / 100];
        println!("{} reads meanwhile: p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
    }
    let began = Instant::now();
    assert_eq!(serving[1].reseal(Pace::per_second(u32::MAX)).count().await, 0);
    println!("a second run in {:?}", began.elapsed());
    let after = instance(&new).await.handle();
    let left = after.list_grants(None).filter(|row| std::future::ready(row.is_ok())).count();
    assert_eq!(left.await, rows, "every row opens without the old key");
}

//! This crate's stores beside those of tower-sessions: load and save by 32 tasks, in interleaved
//! rounds, with the same rows and the same durability. Then the cold path: a request whose grant
//! is not cached, beside one read by primary key.
//!
//! ```sh
//! benches/store_peers/run
//! ```
//!
//! Arguments select engines (`sqlite`, `postgres`, `redis`) and measurements (`load`, `save`,
//! `latency`, `cold`).

#[path = "../../support/chart.rs"]
mod chart;
mod cold;
mod engines;
mod latency;
mod peers;
#[path = "../../support/mod.rs"]
mod support;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::median;

/// Rows in each store.
pub(crate) const ROWS: usize = 2_000;

/// Bytes of each row's content, for ours without the ids that it covers.
pub(crate) const BYTES: usize = 300;

const TASKS: usize = 32;
/// Many short rounds, so that both sides meet the same moments of a busy machine.
const ROUNDS: usize = 41;

/// How long one side of a round takes.
const SIDE: Duration = Duration::from_millis(80);

type Operation = Box<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What both sides can do with the row of that number.
pub(crate) struct Side {
    pub(crate) load: Arc<Operation>,
    pub(crate) save: Arc<Operation>,
}

pub(crate) fn operation<F>(run: impl Fn(usize) -> F + Send + Sync + 'static) -> Arc<Operation>
where
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(Box::new(move |row| Box::pin(run(row))))
}

/// What the arguments select.
pub(crate) struct Selection(Vec<String>);

impl Selection {
    pub(crate) fn has_engine(&self, name: &str) -> bool {
        self.has(name, &["sqlite", "postgres", "redis"])
    }

    fn measures(&self, name: &str) -> bool {
        self.has(name, &["load", "save", "cold", "latency"])
    }

    /// Whether this one of several was named, or none.
    fn has(&self, name: &str, of: &[&str]) -> bool {
        self.0.iter().any(|it| it == name) || !self.0.iter().any(|it| of.contains(&it.as_str()))
    }
}

fn main() {
    let selection = Selection(std::env::args().skip(1).collect());
    let folder = tempfile::tempdir().unwrap();
    if selection.measures("load") || selection.measures("save") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(peers(folder.path(), &selection));
    }
    if selection.measures("latency") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(latency::measure(folder.path(), &selection));
    }
    if selection.measures("cold") {
        // On one thread, so that no time is that of waking another.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(cold::measure(folder.path(), &selection));
    }
}

async fn peers(folder: &Path, selection: &Selection) {
    println!("| engine | operation | ours/s | theirs/s | ours : theirs | 10 % | 90 % |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    if selection.has_engine("sqlite") {
        compare(selection, "SQLite", engines::sqlite(folder).await, peers::sqlite(folder).await)
            .await;
    }
    if selection.has_engine("postgres") {
        for (name, fsync) in [("Postgres", "on"), ("Postgres, fsync off", "off")] {
            engines::set_fsync(fsync).await;
            compare(selection, name, engines::postgres().await, peers::postgres().await).await;
        }
    }
    if selection.has_engine("redis") {
        compare(selection, "Redis", engines::redis().await, peers::redis().await).await;
    }
}

async fn compare(selection: &Selection, engine: &str, ours: Side, theirs: Side) {
    for (name, ours, theirs) in
        [("load", &ours.load, &theirs.load), ("save", &ours.save, &theirs.save)]
    {
        if !selection.measures(name) {
            continue;
        }
        let mut rounds = Vec::new();
        rate(ours).await;
        rate(theirs).await;
        for round in 0..ROUNDS {
            rounds.push(if round % 2 == 0 {
                let ours = rate(ours).await;
                (ours, rate(theirs).await)
            } else {
                let theirs = rate(theirs).await;
                (rate(ours).await, theirs)
            });
        }
        let mut ratios: Vec<_> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "| {engine} | {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
            median(rounds.iter().map(|it| it.0)),
            median(rounds.iter().map(|it| it.1)),
            ratios[ROUNDS / 2],
            ratios[ROUNDS / 10],
            ratios[ROUNDS - 1 - ROUNDS / 10],
        );
    }
}

/// Operations per second, by all tasks together.
async fn rate(operation: &Arc<Operation>) -> f64 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let started = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let operation = Arc::clone(operation);
            tokio::spawn(async move {
                let mut done = 0_u32;
                while started.elapsed() < SIDE {
                    // A factor that is coprime to the rows visits them in a scattered order.
                    operation(NEXT.fetch_add(1, Ordering::Relaxed) * 7_919 % ROWS).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}

//! The cost of a flow: its start, its callback compared with the calls to Webflow, and many flows.
//!
//! `cargo bench --features sqlite,testing --bench flows`. The application is called in process; the
//! fake Webflow responds without delay over loopback.
#![allow(missing_docs, clippy::cast_precision_loss, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use support::{ask, begin, finish, is_quick, median, memory_kib, min};
use tempfile::TempDir;
use tokio::sync::Barrier;
use tower_webflow_auth::store::{MemoryStore, SqliteStore};
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{
    Endpoints, WebflowAuthLayer,
    config::{CacheConfig, WebflowAuthBuilder},
};

const ROUNDS: usize = 9;

const FAKE: &str = "fake-webflow";

fn main() {
    if std::env::args().any(|argument| argument == FAKE) {
        return fake_webflow();
    }
    let quick = is_quick();
    start(if quick { 10 } else { 5_000 });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(callback(if quick { 5 } else { 1_000 }));
    runtime.block_on(many(if quick { 50 } else { 5_000 }));
}

/// From a navigation to its 303 with an encrypted flow cookie: the time, and the memory retained.
fn start(flows: usize) {
    let nowhere = Endpoints::at("http://127.0.0.1:9").unwrap();
    let auth = support::builder(nowhere).store(MemoryStore::new()).build().unwrap();
    let mut app = support::protected(&auth);
    let mut round = |flows: usize| {
        futures::executor::block_on(async {
            for _ in 0..flows {
                drop(std::hint::black_box(begin(&mut app).await));
            }
        });
    };
    round(flows);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        round(flows);
        times.push(started.elapsed().as_nanos() as f64 / 1000.0 / flows as f64);
    }
    let kept = allocation_counter::measure(|| round(flows)).bytes_current;
    println!(
        "start of a flow: {:.1} µs (median of {ROUNDS} rounds of {flows}; min {:.1}); \
         {kept} bytes retained for {flows} open flows",
        median(times.iter().copied()),
        min(times.iter().copied()),
    );
}

/// The callback, alternating with the same three calls made by hand.
async fn callback(flows: usize) {
    let fake = FakeWebflow::builder()
        .client_id("client")
        .client_secret("secret")
        .redirect_uri(format!("http://127.0.0.1:9{}", support::CALLBACK))
        .start()
        .await
        .unwrap();
    let (disk, ram) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    let sqlite = async |folder: &TempDir| {
        let store = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
        protected(support::builder(fake.endpoints()).store(store))
    };
    let memory = protected(support::builder(fake.endpoints()).store(MemoryStore::new()));
    let mut rows = [
        ("SQLite, on disk", sqlite(&disk).await, Some(&disk)),
        ("SQLite, in /dev/shm", sqlite(&ram).await, Some(&ram)),
        ("memory", memory, None),
    ];
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    println!(
        "\n| callback, store | total, µs | the three calls by hand | one commit by hand \
         | over the calls | p90 | over calls and commit | p90 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, app, folder) in &mut rows {
        let mut by_hand = match folder {
            Some(folder) => Some(Commits::open(folder).await),
            None => None,
        };
        let (mut whole, mut calls, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..flows + 20 {
            let ours = approved(app, &fake).await;
            let started = Instant::now();
            finish(app, &ours.0, &ours.1).await;
            let took = micros(started);
            let (url, _) = approved(app, &fake).await;
            let code = url.split("code=").nth(1).unwrap().split('&').next().unwrap();
            let started = Instant::now();
            calls_by_hand(&client, &fake, code).await;
            let called = micros(started);
            let committed = match &mut by_hand {
                Some(commits) => commits.one().await,
                None => 0.0,
            };
            // The first iterations open connections.
            if i >= 20 {
                whole.push(took);
                calls.push(called);
                commits.push(committed);
            }
        }
        let over = |more: &[f64]| {
            let each = whole.iter().zip(&calls).zip(more);
            let mut over: Vec<_> =
                each.map(|((whole, calls), more)| whole - calls - more).collect();
            over.sort_by(f64::total_cmp);
            let at = |percent: usize| over.get(over.len() * percent / 100).copied().unwrap();
            format!("{:.0} | {:.0}", at(50), at(90))
        };
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {} | {} |",
            median(whole.iter().copied()),
            median(calls.iter().copied()),
            median(commits.iter().copied()),
            over(&vec![0.0; flows]),
            over(&commits),
        );
    }
}

/// Writes rows of a grant's size to a second file, synced like the store's.
struct Commits(SqliteConnection);

impl Commits {
    async fn open(folder: &TempDir) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("by-hand.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let table = "CREATE TABLE rows (id INTEGER PRIMARY KEY, row BLOB) STRICT";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// The time of one commit, in microseconds.
    async fn one(&mut self) -> f64 {
        let started = Instant::now();
        let insert = "INSERT INTO rows (row) VALUES (randomblob(500))";
        sqlx::query(insert).execute(&mut self.0).await.unwrap();
        micros(started)
    }
}

fn protected(builder: WebflowAuthBuilder) -> Router {
    let auth: WebflowAuthLayer = builder.build().unwrap();
    support::protected(&auth)
}

/// A flow whose user has given consent: the callback's path and query, and the flow cookie.
async fn approved(app: &mut Router, fake: &FakeWebflow) -> (String, String) {
    let begun = begin(app).await;
    let callback = fake.approve(&begun.authorize).unwrap();
    (format!("{}?{}", callback.path(), callback.query().unwrap()), begun.cookie)
}

async fn calls_by_hand(client: &reqwest::Client, fake: &FakeWebflow, code: &str) {
    let exchange = json!({
        "client_id": "client",
        "client_secret": "secret",
        "code": code,
        "grant_type": "authorization_code",
        "redirect_uri": format!("http://127.0.0.1:9{}", support::CALLBACK),
    });
    let url = format!("{}/oauth/access_token", fake.base_url());
    let answer = client.post(url).json(&exchange).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer.get("access_token").unwrap().as_str().unwrap();
    let url = format!("{}/v2/token/introspect", fake.base_url());
    let answer = client.get(url).bearer_auth(token).send().await.unwrap();
    assert!(answer.json::<Value>().await.unwrap().get("authorization").is_some());
    // The grant covers a workspace, and only this call tells its sites.
    let url = format!("{}/v2/sites", fake.base_url());
    let answer = client.get(url).bearer_auth(token).send().await.unwrap();
    assert!(answer.json::<Value>().await.unwrap().get("sites").is_some());
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64 / 1000.0
}

/// Opens all flows, then sends all their callbacks at the same moment, in four waves.
///
/// The fake Webflow is a separate process, so that this process's memory is only the application's
/// and that of the tasks that act as browsers.
async fn many(flows: usize) {
    let (_process, webflow) = Process::fake_webflow(flows);
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
    // A small cache, because this measures flows and not cached grants.
    let cache = CacheConfig::new().capacity(100);
    let patient = Duration::from_secs(60);
    let builder = support::builder(webflow).store(store).cache(cache);
    let app = protected(builder.timeout(patient).store_timeout(patient).max_callbacks(flows));
    println!(
        "\n| wave of {flows} | completed | took, s | RSS before, MiB | all open | peak | after | per open flow, KiB | per running callback, KiB | open files after |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for wave in 1..=4 {
        let before = memory_kib("VmRSS");
        let peak = Peak::watch();
        let started = Instant::now();
        let open = Arc::new(Barrier::new(flows + 1));
        let finished: Vec<_> =
            (0..flows).map(|_| tokio::spawn(one(app.clone(), Arc::clone(&open)))).collect();
        open.wait().await;
        let all_open = memory_kib("VmRSS");
        open.wait().await;
        let mut completed = 0;
        for flow in finished {
            completed += usize::from(flow.await.unwrap());
        }
        let took = started.elapsed();
        let (peak, after) = (peak.kib(), memory_kib("VmRSS"));
        let mib = |kib: f64| kib / 1024.0;
        println!(
            "| {wave} | {completed} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            took.as_secs_f64(),
            mib(before),
            mib(all_open),
            mib(peak),
            mib(after),
            (all_open - before) / flows as f64,
            (peak - all_open) / flows as f64,
            std::fs::read_dir("/proc/self/fd").unwrap().count(),
        );
    }
}

/// Whether the flow completed. If not, the response was a 503 and the token was revoked.
async fn one(mut app: Router, open: Arc<Barrier>) -> bool {
    let begun = begin(&mut app).await;
    open.wait().await;
    open.wait().await;
    let answer = ask(&mut app, &begun.callback(), &begun.cookie, &[]).await;
    assert!(matches!(answer.status(), StatusCode::SEE_OTHER | StatusCode::SERVICE_UNAVAILABLE));
    answer.status() == StatusCode::SEE_OTHER
}

/// The highest resident size since this was created.
struct Peak {
    kib: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Peak {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn watch() -> Self {
        let (kib, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        std::thread::spawn({
            let (kib, over) = (Arc::clone(&kib), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    kib.fetch_max(memory_kib("VmRSS") as u64, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self { kib, over }
    }

    fn kib(&self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        self.kib.load(Ordering::Relaxed) as f64
    }
}

/// The minimal fake Webflow as a process.
struct Process(Child);

impl Process {
    fn fake_webflow(connections: usize) -> (Self, Endpoints) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(FAKE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // One connection per running callback at both ends, and some spare.
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let most: usize = limit.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(most > 2 * connections, "{most} open files are too few: raise `ulimit -Hn`");
        for process in [child.id(), std::process::id()] {
            let limit = format!("--nofile={most}:");
            let raised =
                Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
            assert!(raised.unwrap().success(), "prlimit is part of util-linux");
        }
        let mut address = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        (Self(child), Endpoints::at(address.trim()).unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn fake_webflow() {
    let endpoints = support::lean_webflow();
    let base = endpoints.token().origin().ascii_serialization();
    println!("{base}");
    // Runs until the parent process exits.
    std::io::stdin().lines().count();
}

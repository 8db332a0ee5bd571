//! Scaling: throughput by threads, time and memory by cached subjects, time by cookies per request, and
//! time of a cache with more sessions than room.
//!
//! `cargo bench --features testing --bench scaling`. `CHARTS=docs/img` draws time and memory. Every row is compared with a bare router that
//! gets the same request in the same round; rounds are interleaved. Nanoseconds are a thread's CPU
//! time, so time given to other processes does not count. A busy machine still slows each of them.
#![allow(missing_docs, clippy::cast_precision_loss, clippy::print_stdout, clippy::unwrap_used)]
#![allow(clippy::indexing_slicing)]

#[path = "support/chart.rs"]
mod chart;
mod support;

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use axum::Router;
use chart::{Panel, Series};
use futures::StreamExt;
use support::{
    Forgetful, ask_ok, bare, begin, finish, is_quick, median, memory_kib, min, protected,
};
use tower_webflow_auth::store::MemoryStore;
use tower_webflow_auth::{Endpoints, Keyring, WebflowAuthLayer, config::CacheConfig};

const ROUNDS: usize = 9;

/// Concurrent flows while the cache fills. Few, so that their connections do not distort the
/// memory.
const AT_ONCE: usize = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let webflow = support::lean_webflow();
    let quick = is_quick();
    runtime.block_on(threads(&webflow, if quick { 100 } else { 200_000 }));
    runtime.block_on(cookies(&webflow, if quick { 10 } else { 50_000 }));
    let most = if quick { 120 } else { 100_000 };
    runtime.block_on(over_capacity(&webflow, most, if quick { 20 } else { 20_000 }));
    let sizes: &[usize] = if quick { &[1, 100] } else { &[1, 100, 10_000, 100_000, 1_000_000] };
    subjects(&runtime, &webflow, sizes, if quick { 10 } else { 50_000 });
}

/// Session cookies, back to back in memory that is allocated before the measurement.
struct Sessions {
    text: String,
    each: usize,
}

impl Sessions {
    fn with_room_for(sessions: usize) -> Self {
        Self { text: String::with_capacity(sessions * 160), each: 0 }
    }

    fn push(&mut self, cookie: &str) {
        self.each = cookie.len();
        self.text.push_str(cookie);
    }

    fn get(&self, i: usize) -> &str {
        &self.text[i * self.each..][..self.each]
    }

    const fn len(&self) -> usize {
        self.text.len() / self.each
    }
}

/// A layer with this many cached subjects. Each went through its own flow, and each session has
/// sent one request since. The store keeps nothing, so every 200 comes from the cache.
async fn filled(webflow: &Endpoints, subjects: usize, sessions: &mut Sessions) -> WebflowAuthLayer {
    // The cache's shards fill unevenly: add six times their standard deviation.
    let room = subjects + 6 * (subjects * 32).isqrt() + 64;
    let cache = CacheConfig::new().capacity(room).ttl(Duration::from_secs(24 * 60 * 60));
    let auth: WebflowAuthLayer =
        support::builder(webflow.clone()).store(Forgetful).cache(cache).build().unwrap();
    let app = support::protected(&auth);
    let flows = futures::stream::iter(0..subjects).map(|_| {
        let mut app = app.clone();
        async move {
            let begun = begin(&mut app).await;
            finish(&mut app, &begun.callback(), &begun.cookie).await
        }
    });
    let mut flows = flows.buffer_unordered(AT_ONCE);
    while let Some(cookie) = flows.next().await {
        sessions.push(&cookie);
    }
    drop(flows);
    let mut warm = app;
    for i in 0..subjects {
        ask_ok(&mut warm, sessions.get(i)).await;
    }
    auth
}

/// What two threads do: the router of each, and the session of each request.
struct Row {
    name: &'static str,
    routers: [Router; 2],
    session: fn(turn: usize, thread: usize) -> usize,
}

/// Throughput of one thread and of two, and the CPU time per request.
///
/// A shared router costs something even without a layer; with one router per thread, the threads
/// share only the layer.
async fn threads(webflow: &Endpoints, requests: usize) {
    const SESSIONS: usize = 1_000;
    let mut sessions = Sessions::with_room_for(SESSIONS);
    let ours = filled(webflow, SESSIONS, &mut sessions).await;
    let own = |turn, thread| (turn * 7 % (SESSIONS / 2)) * 2 + thread;
    let shared = |app: Router| [app.clone(), app];
    let rows = [
        Row { name: "bare axum, one router", routers: shared(bare()), session: own },
        Row {
            name: "the layer, separate sessions per thread",
            routers: shared(protected(&ours)),
            session: own,
        },
        Row {
            name: "the layer, both threads use all 1 000 sessions",
            routers: shared(protected(&ours)),
            session: |turn, thread| (turn * 7 + thread) % SESSIONS,
        },
        Row {
            name: "the layer, both threads use one session",
            routers: shared(protected(&ours)),
            session: |_, _| 0,
        },
        Row { name: "bare axum, one router per thread", routers: [bare(), bare()], session: own },
        Row {
            name: "one layer, one router per thread",
            routers: [protected(&ours), protected(&ours)],
            session: own,
        },
    ];
    let mut runs: Vec<Vec<(Run, Run)>> = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for (row, runs) in rows.iter().zip(&mut runs) {
            let run = |threads| parallel(row, &sessions, threads, requests / threads);
            runs.push((run(1), run(2)));
        }
    }
    println!(
        "\n| row | 1 thread, /s | 2 threads, /s | ratio | best of each | CPU per request, 1, ns | 2, ns | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (Row { name, .. }, runs) in rows.iter().zip(&runs) {
        let of = |what: fn(&(Run, Run)) -> f64| median(runs.iter().map(what));
        let best = |what: fn(&(Run, Run)) -> f64| -min(runs.iter().map(|run| -what(run)));
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} |",
            of(|run| run.0.per_second),
            of(|run| run.1.per_second),
            of(|run| run.1.per_second / run.0.per_second),
            best(|run| run.1.per_second) / best(|run| run.0.per_second),
            of(|run| run.0.cpu),
            of(|run| run.1.cpu),
            of(|run| run.1.cpu / run.0.cpu),
        );
    }
}

#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    /// CPU time per request, in nanoseconds.
    cpu: f64,
}

fn parallel(row: &Row, sessions: &Sessions, threads: usize, each: usize) -> Run {
    let barrier = Barrier::new(threads);
    let times: Vec<_> = std::thread::scope(|scope| {
        let thread = |(number, app): (usize, &Router)| {
            let (mut app, barrier) = (app.clone(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                let (started, cpu) = (Instant::now(), cpu_nanos());
                futures::executor::block_on(async {
                    for i in 0..each {
                        ask_ok(&mut app, sessions.get((row.session)(i, number))).await;
                    }
                });
                (started.elapsed(), cpu_nanos() - cpu)
            })
        };
        let routers = row.routers.iter().enumerate().take(threads);
        let handles: Vec<_> = routers.map(thread).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let longest = times.iter().map(|(wall, _)| *wall).max().unwrap();
    let cpu: f64 = times.iter().map(|(_, cpu)| cpu).sum();
    let requests = (each * threads) as f64;
    Run { per_second: requests / longest.as_secs_f64(), cpu: cpu / requests }
}

/// This thread's CPU time, accurate to one scheduler tick (at most 4 ms).
fn cpu_nanos() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Requests with 1 to 100 cookies, of which the layer's own is the last.
async fn cookies(webflow: &Endpoints, requests: usize) {
    const COUNTS: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];
    let mut sessions = Sessions::with_room_for(1);
    let mut ours = protected(&filled(webflow, 1, &mut sessions).await);
    let mut bare = bare();
    let others = |count| (1..count).map(|i| format!("cookie-{i:02}=abcdefghijklm; "));
    let headers = COUNTS.map(|count| others(count).collect::<String>() + sessions.get(0));
    let mut over = vec![Vec::new(); COUNTS.len()];
    for _ in 0..ROUNDS {
        for (header, over) in headers.iter().zip(&mut over) {
            let control = time(&mut bare, requests, |_| header).await;
            over.push(time(&mut ours, requests, |_| header).await - control);
        }
    }
    println!("\n| cookies | header, bytes | over bare axum with the same header, ns | min |");
    println!("| --- | --- | --- | --- |");
    for ((count, header), over) in COUNTS.iter().zip(&headers).zip(&over) {
        let (median, min) = (median(over.iter().copied()), min(over.iter().copied()));
        println!("| {count} | {} | {median:.0} | {min:.0} |", header.len());
    }
    let points: Vec<_> = COUNTS
        .iter()
        .zip(&over)
        .map(|(x, over)| (*x as f64, median(over.iter().copied())))
        .collect();
    let (slope, fit) = line(&points);
    println!("\nEach additional cookie costs {slope:.1} ns (least squares, R² {fit:.3}).");
}

/// The slope of the least-squares line, and the share of the variance it explains.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let xy = sum(&|it| (it.0 - x) * (it.1 - y));
    let xx = sum(&|it| (it.0 - x).powi(2));
    let yy = sum(&|it| (it.1 - y).powi(2));
    (xy / xx, xy * xy / (xx * yy))
}

/// CPU time per request, in nanoseconds.
async fn time<'a>(app: &mut Router, requests: usize, cookie: impl Fn(usize) -> &'a str) -> f64 {
    let started = cpu_nanos();
    for i in 0..requests {
        ask_ok(app, cookie(i)).await;
    }
    (cpu_nanos() - started) / requests as f64
}

/// A cache with room for a tenth of `most` sessions, and requests of more and more sessions in turn.
/// Every miss reads the store, which is in memory.
async fn over_capacity(webflow: &Endpoints, most: usize, requests: usize) {
    let (room, keyring) = (most / 10, Keyring::generate());
    let store = Arc::new(MemoryStore::new().with_capacity(2 * most));
    let layer = |capacity| {
        let cache = CacheConfig::new().capacity(capacity).ttl(Duration::from_secs(24 * 60 * 60));
        let builder = support::builder(webflow.clone()).keyring(keyring.clone());
        protected(&builder.store(Arc::clone(&store)).cache(cache).build().unwrap())
    };
    let mut sessions = Sessions::with_room_for(most);
    let app = layer(0);
    let mut flows = futures::stream::iter(0..most)
        .map(|_| {
            let mut app = app.clone();
            async move {
                let begun = begin(&mut app).await;
                finish(&mut app, &begun.callback(), &begun.cookie).await
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(cookie) = flows.next().await {
        sessions.push(&cookie);
    }
    drop(flows);
    let mut without = app;
    println!("\n| sessions, of room for {room} | ns per request | p99 | worst | of no cache |");
    println!("| --- | --- | --- | --- | --- |");
    for used in [room * 8 / 10, room, room * 12 / 10, room * 2, most] {
        let mut cached = layer(room);
        let at = |i: usize| sessions.get(i * 7_919 % used);
        for i in 0..used.max(requests) {
            ask_ok(&mut cached, at(i)).await;
        }
        let (mut mean, mut share, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let at = |i: usize| at(round * requests + i);
            let control = time(&mut without, requests, at).await;
            let started = cpu_nanos();
            for i in 0..requests {
                let began = Instant::now();
                ask_ok(&mut cached, at(i)).await;
                each.push(began.elapsed().as_nanos() as f64);
            }
            let ours = (cpu_nanos() - started) / requests as f64;
            mean.push(ours);
            share.push(ours / control);
        }
        each.sort_by(f64::total_cmp);
        let (p99, worst) = (each[each.len() * 99 / 100], each[each.len() - 1]);
        println!("| {used} | {:.0} | {p99:.0} | {worst:.0} | {:.2} |", median(mean), median(share));
    }
}

struct Size {
    sessions: Sessions,
    app: Router,
    bytes: i64,
    rss_kib: f64,
    over: Vec<f64>,
    control: Vec<f64>,
}

fn subjects(
    runtime: &tokio::runtime::Runtime,
    webflow: &Endpoints,
    sizes: &[usize],
    requests: usize,
) {
    let mut rows = Vec::new();
    for &size in sizes {
        let started = Instant::now();
        let mut sessions = Sessions::with_room_for(size);
        let mut app = None;
        let before = memory_kib("VmRSS");
        // Everything runs on this thread, the only one whose allocations are counted.
        let counted = allocation_counter::measure(|| {
            let auth = runtime.block_on(filled(webflow, size, &mut sessions));
            app = Some(protected(&auth));
        });
        let text_kib = sessions.text.len() as f64 / 1024.0;
        rows.push(Size {
            sessions,
            app: app.unwrap(),
            bytes: counted.bytes_current,
            rss_kib: memory_kib("VmRSS") - before - text_kib,
            over: Vec::new(),
            control: Vec::new(),
        });
        println!("{size} flows took {:.0?}", started.elapsed());
    }
    let mut bare = bare();
    for _ in 0..ROUNDS {
        for row in &mut rows {
            // Visits sessions in a scattered order; 7 919 is coprime to the sizes.
            let at = |i: usize| row.sessions.get(i * 7_919 % row.sessions.len());
            let control = runtime.block_on(time(&mut bare, requests, at));
            let ours = runtime.block_on(time(&mut row.app, requests, at));
            row.control.push(control);
            row.over.push(ours - control);
        }
    }
    println!(
        "\n| cached subjects | over bare axum, ns | min | bare axum, ns | min | bytes per subject, counted | RSS per subject |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in &rows {
        let size = row.sessions.len() as f64;
        let of = |values: &[f64]| (median(values.iter().copied()), min(values.iter().copied()));
        let ((over, over_min), (control, control_min)) = (of(&row.over), of(&row.control));
        println!(
            "| {} | {over:.0} | {over_min:.0} | {control:.0} | {control_min:.0} | {:.0} | {:.0} |",
            row.sessions.len(),
            row.bytes as f64 / size,
            row.rss_kib * 1024.0 / size,
        );
    }
    println!(
        "\n64 of the bytes are the access token; the row of one subject is mostly the layer itself."
    );
    draw(&rows);
}

/// The time per request and the memory, by cached subjects.
fn draw(rows: &[Size]) {
    let series = |name: &str, color, value: &dyn Fn(&Size) -> f64| {
        let points = rows.iter().map(|row| (row.sessions.len() as f64, value(row)));
        let points = points.filter(|point| point.1 > 0.0).collect();
        Series { name: name.to_owned(), color, dashed: false, points }
    };
    let over = |row: &Size| median(row.over.iter().copied());
    let control = |row: &Size| median(row.control.iter().copied());
    let mebibytes = |row: &Size| row.bytes as f64 / f64::from(1 << 20);
    let panels = [
        Panel {
            title: "time per request, ns".to_owned(),
            x: "cached sessions",
            series: vec![series("layer", 0, &over), series("axum", 1, &control)],
        },
        Panel {
            title: "memory, MiB".to_owned(),
            x: "cached sessions",
            series: vec![series("layer", 0, &mebibytes)],
        },
    ];
    chart::write("sessions.svg", "Time per request and memory by cached sessions", &panels);
}

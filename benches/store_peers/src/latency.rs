//! How long a load and a save take while so many tasks do the same.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::chart::{self, Panel, Series};
use crate::{Operation, ROWS, Selection, Side, engines};

const TASKS: [usize; 6] = [1, 4, 16, 64, 256, 1024];
const TIME: Duration = Duration::from_secs(1);

pub(crate) async fn measure(folder: &Path, selection: &Selection) {
    println!();
    println!("| engine | operation | tasks | operations/s | p50, ms | p99, ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut panels = ["load", "save"].map(|title| Panel {
        title: format!("{title}, ms (dashed: p99)"),
        x: "concurrent operations",
        series: Vec::new(),
    });
    let mut sides: Vec<(&str, usize, Side)> = Vec::new();
    if selection.has_engine("sqlite") {
        sides.push(("SQLite", 0, engines::sqlite(&folder.join("latency")).await));
    }
    if selection.has_engine("postgres") {
        engines::set_fsync("on").await;
        sides.push(("Postgres", 1, engines::postgres().await));
    }
    if selection.has_engine("redis") {
        sides.push(("Redis", 2, engines::redis().await));
    }
    for (engine, color, side) in &sides {
        for (operation, panel) in [&side.load, &side.save].into_iter().zip(&mut panels) {
            let (p50, p99) = lines(engine, &panel.title[..4], operation).await;
            let name = (*engine).to_owned();
            panel.series.push(Series { name, color: *color, dashed: false, points: p50 });
            let name = String::new();
            panel.series.push(Series { name, color: *color, dashed: true, points: p99 });
        }
    }
    let description = "How long a load and a save take, by concurrent operations and engine";
    chart::write("latency.svg", description, &panels);
}

type Points = Vec<(f64, f64)>;

async fn lines(engine: &str, name: &str, operation: &Arc<Operation>) -> (Points, Points) {
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for tasks in TASKS {
        let times = times(operation, tasks).await;
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
        let rate = times.len() as f64 / TIME.as_secs_f64();
        println!("| {engine} | {name} | {tasks} | {rate:.0} | {:.3} | {:.3} |", at(50), at(99));
        p50.push((tasks as f64, at(50)));
        p99.push((tasks as f64, at(99)));
    }
    (p50, p99)
}

/// The time of each operation, ascending.
async fn times(operation: &Arc<Operation>, tasks: usize) -> Vec<Duration> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let operation = Arc::clone(operation);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < TIME {
                    let begun = Instant::now();
                    operation(NEXT.fetch_add(1, Ordering::Relaxed) * 7_919 % ROWS).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    all
}

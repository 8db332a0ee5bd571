//! What a verified webhook costs: the layer, a handler written by hand, and express with the official
//! SDK, in one run; then memory under many large bodies, and a flood of unsigned ones.
//!
//! Start it by `benches/webhooks/run`. Every server is a process of its own, so that its processor
//! time and memory can be told from the load's.

mod load;
mod rows;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) const SECRET: &str = "d26ec60528020e1caf426db1a20dceaf5f4e3581bb29bc659b2886d46a7160ed";

const MIB: usize = 1 << 20;
/// A little less than the limit, so that the whole body is within it.
const LARGE: usize = MIB - 100;
const SMALL: usize = 400;

struct Server {
    name: &'static str,
    process: Child,
    address: String,
}

impl Server {
    fn start(name: &'static str, row: &str) -> Self {
        let mut command = if row == "express" {
            let mut command = Command::new("node");
            command.arg("webhooks.js").current_dir(std::env::var("EXPRESS").unwrap());
            command
        } else {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["serve", row]);
            command
        };
        let command = command.env("WEBHOOK_SECRET", SECRET).env("NODE_ENV", "production");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut origin = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut origin).unwrap();
        let address = origin.trim().trim_start_matches("http://").to_owned();
        Self { name, process, address }
    }

    /// Milliseconds on processors, the kernel's work for the process included.
    fn cpu_millis(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // Behind the name in parentheses: user and system time, in ticks of 10 ms.
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        fields.map(|ticks| ticks.parse::<f64>().unwrap() * 10.0).sum()
    }

    fn memory_mib(&self, line: &str) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let value = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

const ROWS: [(&str, &str); 3] = [
    ("**`auth.webhooks()`**", "layer"),
    ("axum and `hmac` by hand", "by-hand"),
    ("express 5 and the official SDK", "express"),
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|it| it == "serve") {
        return rows::serve(&arguments[at + 1]).await;
    }
    let rounds = if arguments.iter().any(|it| it == "--quick") { 1 } else { 5 };
    verified(rounds).await;
    memory().await;
    flood(rounds).await;
}

async fn verified(rounds: usize) {
    let servers: Vec<_> = ROWS.map(|(name, row)| Server::start(name, row)).into();
    println!("{rounds} interleaved rounds; 8 connections; medians\n");
    println!("| | 400 B: events/s | CPU, µs each | 1 MiB: MiB/s | CPU, ms per MiB |");
    println!("| --- | --- | --- | --- | --- |");
    let mut found = vec![[const { Vec::new() }; 4]; servers.len()];
    for round in 0..=rounds {
        for (server, found) in servers.iter().zip(&mut found) {
            for (at, len, requests) in [(0, SMALL, 20_000), (2, LARGE, 400)] {
                let before = server.cpu_millis();
                let seconds = load::signed(&server.address, requests, len, 8).await;
                let cpu = (server.cpu_millis() - before) / requests as f64;
                // The first round warms up.
                if round > 0 {
                    found[at].push(requests as f64 / seconds);
                    found[at + 1].push(cpu);
                }
            }
        }
    }
    for (server, found) in servers.iter().zip(found) {
        let [rate, cpu, large, large_cpu] = found.map(median);
        println!(
            "| {} | {rate:.0} | {:.1} | {large:.0} | {large_cpu:.2} |",
            server.name,
            cpu * 1000.0
        );
    }
}

async fn memory() {
    println!("\n200 connections, each with a signed body of 1 MiB but for its last byte\n");
    println!("| | before, MiB | held, MiB | highest, MiB | answered 200 |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, row) in ROWS {
        let server = Server::start(name, row);
        load::signed(&server.address, 80, SMALL, 8).await;
        let before = server.memory_mib("VmRSS");
        let open = load::all_but_the_last_byte(&server.address, 200, LARGE).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = server.memory_mib("VmRSS");
        let good = load::finish(open).await;
        let highest = server.memory_mib("VmHWM");
        println!("| {name} | {before:.0} | {held:.0} | {highest:.0} | {good} |");
    }
}

async fn flood(rounds: usize) {
    println!("\nUnsigned bodies of 1 MiB, each on a connection of its own\n");
    println!("| | CPU, µs each | highest memory, MiB |");
    println!("| --- | --- | --- |");
    for (name, row) in ROWS.into_iter().chain([("axum, a limit of 1000 bytes", "limit")]) {
        let server = Server::start(name, row);
        load::refused(&server.address, 50, LARGE).await;
        let mut found = Vec::new();
        for _ in 0..rounds {
            let before = server.cpu_millis();
            load::refused(&server.address, 1000, LARGE).await;
            found.push((server.cpu_millis() - before) * 1000.0 / 1000.0);
        }
        println!("| {name} | {:.0} | {:.0} |", median(found), server.memory_mib("VmHWM"));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! Requests per second and p99 over loopback, compared with the alternatives.
//!
//! Start it with `benches/http/run`, which installs wrk and the Node packages. This program is the
//! driver. It starts itself for each row in Rust, and `express/server.js` for those in JavaScript.
//! All servers run all the time; the driver loads one of them at a time, in turns.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(clippy::expect_used)]

mod rows;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::{is_quick, median, min};
use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};

pub(crate) const CLIENT_ID: &str = "client";
pub(crate) const CLIENT_SECRET: &str = "secret";

/// The host of the official SDK's authorize link, which has no setting.
const REAL_WEBFLOW: &str = "https://webflow.com";

/// How a row gets its session.
#[derive(Clone, Copy, PartialEq)]
enum Login {
    /// No session. The first row's cookie is sent, so that all requests have the same size.
    None,
    /// A visit to `/in`.
    In,
    /// The whole flow, started at this path.
    Flow(&'static str),
}

struct Row {
    name: &'static str,
    server: Child,
    origin: String,
    login: Login,
    cookie: String,
    per_second: Vec<f64>,
    p99_millis: Vec<f64>,
    /// The server's CPU time per request.
    cpu_micros: Vec<f64>,
}

impl Drop for Row {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "serve") {
        return rows::serve(&arguments[at + 1]).await;
    }
    let express = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/http/express");
    let has_wrk = Command::new("wrk").arg("-v").stdout(Stdio::null()).status().is_ok();
    if !has_wrk || !express.join("node_modules").exists() {
        println!("wrk or the Node packages are missing: start this with benches/http/run");
        return;
    }
    let (rounds, seconds) = if is_quick() { (1, 1) } else { (7, 3) };
    let fake = FakeWebflow::builder()
        .client_id(CLIENT_ID)
        .client_secret(CLIENT_SECRET)
        .start()
        .await
        .unwrap();
    let rust = |row: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", row]);
        command
    };
    let node = |arguments: &[&str]| {
        let mut command = Command::new("node");
        command.current_dir(&express).arg("server.js").args(arguments);
        command
    };
    let mut rows = Vec::new();
    for (name, command, login) in [
        ("**`WebflowAuthLayer`**", rust("webflow"), Login::Flow("/")),
        ("bare axum", rust("bare"), Login::None),
        ("bare axum, repeated", rust("bare"), Login::None),
        ("`from_fn`, one HMAC and a map", rust("from_fn"), Login::In),
        ("tower-sessions 0.14, signed", rust("sessions"), Login::In),
        ("axum-login 0.18 with tower-sessions", rust("login"), Login::In),
        ("express 5, bare", node(&["bare"]), Login::None),
        (
            "express 5, passport, express-session, webflow-api",
            node(&[]),
            Login::Flow("/auth/webflow/login"),
        ),
    ] {
        rows.push(start(name, command, login, &fake));
    }
    for row in &mut rows {
        row.cookie = log_in(row, &fake).await;
    }
    let cookie = rows[0].cookie.clone();
    for row in rows.iter_mut().filter(|row| row.login == Login::None) {
        row.cookie.clone_from(&cookie);
    }
    for round in 0..=rounds {
        for row in &mut rows {
            let load = load(row, if round == 0 { 1 } else { seconds });
            // The first round warms up.
            if round > 0 {
                row.per_second.push(load.per_second);
                row.p99_millis.push(load.p99_millis);
                row.cpu_micros.push(load.cpu_micros);
            }
        }
    }
    print(&rows, rounds, seconds);
}

fn start(name: &'static str, mut command: Command, login: Login, fake: &FakeWebflow) -> Row {
    let mut server = command
        .env("WEBFLOW_BASE_URL", fake.base_url())
        .env("NODE_ENV", "production")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut origin = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut origin).unwrap();
    let origin = origin.trim().to_owned();
    fake.register_redirect_uri(format!("{origin}{}", support::CALLBACK));
    let (cookie, per_second) = (String::new(), Vec::new());
    let (p99_millis, cpu_micros) = (Vec::new(), Vec::new());
    Row { name, server, origin, login, cookie, per_second, p99_millis, cpu_micros }
}

async fn log_in(row: &Row, fake: &FakeWebflow) -> String {
    let mut browser = TestBrowser::new();
    match row.login {
        Login::None => return String::new(),
        Login::In => drop(browser.step(&format!("{}/in", row.origin)).await.unwrap()),
        Login::Flow(path) => {
            let challenge = browser.step(&format!("{}{path}", row.origin)).await.unwrap();
            let authorize = challenge.location().expect("a redirect to Webflow");
            let authorize = authorize.as_str().replace(REAL_WEBFLOW, fake.base_url());
            let callback = fake.approve(authorize).unwrap();
            let done = browser.step(callback.as_str()).await.unwrap();
            assert!(done.status.is_redirection(), "{}: {}", row.name, done.status);
        }
    }
    let page = browser.step(&format!("{}/", row.origin)).await.unwrap();
    assert_eq!((page.status.as_u16(), page.text.as_str()), (200, "ok"), "{}", row.name);
    let cookies = browser.cookies("127.0.0.1");
    let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("; ")
}

/// One round of one row.
struct Load {
    per_second: f64,
    p99_millis: f64,
    cpu_micros: f64,
}

fn load(row: &Row, seconds: u64) -> Load {
    let before = cpu_micros(&row.server);
    let output = Command::new("wrk")
        .args(["-t1", "-c32", "--latency", "--timeout", "30s", "-d", &format!("{seconds}s")])
        .args(["-H", &format!("Cookie: {}", row.cookie)])
        .arg(format!("{}/", row.origin))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("Non-2xx"), "{}: {text}", row.name);
    assert!(!text.contains("Socket errors"), "{}: {text}", row.name);
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in {text}")).trim().to_owned()
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests: f64 = requests.unwrap().0.parse().unwrap();
    Load {
        per_second: after("Requests/sec:").parse().unwrap(),
        p99_millis: millis(&after("99%")),
        cpu_micros: (cpu_micros(&row.server) - before) / requests,
    }
}

/// The CPU time of a process, including its threads and the kernel's share.
fn cpu_micros(process: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // After the name in parentheses, fields 12 and 13 are user and system time in ticks of 10 ms.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap() * 10_000.0).sum()
}

fn millis(text: &str) -> f64 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let factor = match &text[digits.len()..] {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        unit => panic!("unknown unit {unit} in wrk's output"),
    };
    digits.parse::<f64>().unwrap() * factor
}

fn print(rows: &[Row], rounds: usize, seconds: u64) {
    println!("{rounds} interleaved rounds of {seconds} s, wrk -t1 -c32, on the servers' cores\n");
    println!(
        "| row | requests/s, median | min..max | of bare axum, median of rounds | min..max \
         | p99, ms | server's CPU per request, µs | of bare axum |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let (bare, bare_cpu) = (&rows[1].per_second, &rows[1].cpu_micros);
    for row in rows {
        let ratios: Vec<_> =
            row.per_second.iter().zip(bare).map(|(row, bare)| row / bare).collect();
        let max = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        println!(
            "| {} | {:.0} | {:.0}..{:.0} | {:.2} | {:.2}..{:.2} | {:.2} | {:.1} | {:.2} |",
            row.name,
            median(row.per_second.iter().copied()),
            min(row.per_second.iter().copied()),
            max(&row.per_second),
            median(ratios.iter().copied()),
            min(ratios.iter().copied()),
            max(&ratios),
            median(row.p99_millis.iter().copied()),
            median(row.cpu_micros.iter().copied()),
            median(row.cpu_micros.iter().zip(bare_cpu).map(|(row, bare)| row / bare)),
        );
    }
}

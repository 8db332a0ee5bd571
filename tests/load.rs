//! The demo under load: 200 concurrent connections start flows, finish them, abandon them and
//! attack them. Every response is the expected one, and the process does not grow. A separate
//! binary, so that no other test competes for the processor.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, Method};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tower_webflow_auth::testing::{FakeWebflow, Page, TestBrowser};

use crate::support::demo::{Demo, redirect_uri};

const CONNECTIONS: usize = 200;

/// The first wave brings the process to its working size. The second must not increase it.
const WAVES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// How many of them may be in flows that complete.
const FINISHING: usize = 25;

const HOST: &str = "127.0.0.1";
const CALLBACK: &str = "/auth/webflow/callback";

/// The number of kinds of requests, each of which must occur.
const KINDS: usize = 18;

/// How much the process may grow, in MiB: in the first wave by 200 connections and their buffers,
/// in the second by next to nothing.
const ROOM_MIB: [f64; 2] = [64.0, 24.0];

/// The state that all connections share.
struct Stage {
    demo: Demo,
    fake: FakeWebflow,
    /// A client without cookies. Clones share its connections.
    newcomer: TestBrowser,
    completed: AtomicUsize,
    /// A disk that syncs slowly must not make the store time out.
    finishing: Semaphore,
    took: Mutex<BTreeMap<&'static str, Vec<Duration>>>,
}

impl Stage {
    /// Sends a request, and asserts the status of the response.
    async fn ask(
        &self,
        what: &'static str,
        status: u16,
        browser: &mut TestBrowser,
        (method, path, headers): (Method, &str, HeaderMap),
    ) -> Page {
        let url = self.demo.url(path);
        let started = Instant::now();
        let page = browser.send(method, &url, &headers, None).await;
        let page = page.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        self.took.lock().unwrap().entry(what).or_default().push(started.elapsed());
        assert_eq!(page.status.as_u16(), status, "{what}: {}", page.text);
        page
    }

    /// Visits a protected page without a session. Returns the redirect to Webflow.
    async fn begin(&self, browser: &mut TestBrowser) -> String {
        let page = self.ask("start", 303, browser, navigation("/sites")).await;
        page.location().unwrap().to_string()
    }

    /// A whole flow, requests with its session, and its callback once more, by the same browser and
    /// by one that learned its URL.
    async fn finish(&self) {
        let mut browser = self.newcomer.clone();
        let authorize = self.begin(&mut browser).await;
        let callback = self.fake.approve(authorize).unwrap();
        let callback = format!("{CALLBACK}?{}", callback.query().unwrap());
        let before = browser.clone();
        self.ask("callback", 303, &mut browser, navigation(&callback)).await;
        self.completed.fetch_add(1, Ordering::SeqCst);
        self.ask("page with a call to Webflow", 200, &mut browser, navigation("/sites")).await;
        let whoami = self.ask("protected", 200, &mut browser, script("/whoami")).await;
        // A reload with the flow's cookie, as if the first response was lost.
        let mut again = before;
        self.ask("callback repeated", 303, &mut again, navigation(&callback)).await;
        let same = self.ask("protected", 200, &mut again, script("/whoami")).await;
        assert_eq!(whoami.json()["subject"], same.json()["subject"]);
        self.ask("callback stolen", 400, &mut self.newcomer.clone(), navigation(&callback)).await;
        let elsewhere = with(navigation_of(Method::POST, "/auth/webflow/logout"), "cross-site");
        self.ask("logout across sites", 403, &mut browser, elsewhere).await;
        let here = with(navigation_of(Method::POST, "/auth/webflow/logout"), "same-origin");
        self.ask("logout", 303, &mut browser, here).await;
        self.ask("after logout", 401, &mut again, script("/whoami")).await;
    }

    /// Five abandoned flows in as many tabs.
    async fn abandon(&self) {
        let mut browser = self.newcomer.clone();
        for _ in 0..5 {
            self.begin(&mut browser).await;
        }
    }

    async fn forge(&self, number: usize) {
        let mut browser = self.newcomer.clone();
        let authorize = self.begin(&mut browser).await;
        let good = authorize.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let forged = format!("{CALLBACK}?code=stolen&state=forged-{number:036}");
        self.ask("state forged", 400, &mut browser, navigation(&forged)).await;
        let doubled = format!("{CALLBACK}?code=stolen&state={good}&state={good}");
        self.ask("state doubled", 400, &mut browser, navigation(&doubled)).await;
        let cookies = browser.cookies(HOST);
        let (name, value) = cookies.first().unwrap();
        let at = number % value.len();
        let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{name}={}{other}{}", &value[..at], &value[at + 1..]);
        let stolen = format!("{CALLBACK}?code=stolen&state={good}");
        let request = with_cookie(navigation(&stolen), &changed);
        self.ask("flow cookie changed", 400, &mut self.newcomer.clone(), request).await;
        let good = format!("{CALLBACK}?error=access_denied&state={good}");
        self.ask("consent refused", 403, &mut browser, navigation(&good)).await;
    }

    async fn flood(&self, number: usize) {
        let browser = &mut self.newcomer.clone();
        let junk = |i| format!("webflow-session={number}-{i}; webflow-flow-{i}=%00\"=;;");
        let junk: Vec<_> = (0..50).map(junk).collect();
        let junk = junk.join("; ");
        self.ask("junk cookies", 200, browser, with_cookie(navigation("/"), &junk)).await;
        self.ask("junk cookies", 401, browser, with_cookie(script("/whoami"), &junk)).await;
        let huge = format!("webflow-session={}", "A".repeat(64 * 1024));
        self.ask("cookie of 64 KiB", 401, browser, with_cookie(script("/whoami"), &huge)).await;
        let mut many = script("/whoami");
        for i in 0..150 {
            let name: HeaderName = format!("x-{i}").parse().unwrap();
            many.2.insert(name, "a".repeat(100).parse().unwrap());
        }
        self.ask("150 headers", 431, browser, many).await;
        let code = format!("{CALLBACK}?code={}&state=a", "c".repeat(8 * 1024));
        self.ask("code of 8 KiB", 400, browser, navigation(&code)).await;
        self.ask("no session", 401, browser, script("/sites")).await;
    }

    /// Runs all connections concurrently, for that long.
    async fn wave(self: &Arc<Self>, load: Duration) {
        let until = Instant::now() + load;
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let stage = Arc::clone(self);
                tokio::spawn(async move { stage.connection(number, until).await })
            })
            .collect();
        for connection in connections {
            connection.await.unwrap();
        }
    }

    async fn connection(&self, number: usize, until: Instant) {
        for turn in number.. {
            match turn % 4 {
                0 => match self.finishing.try_acquire() {
                    Ok(_permit) => self.finish().await,
                    Err(_) => self.abandon().await,
                },
                1 => self.abandon().await,
                2 => self.forge(turn).await,
                _ => self.flood(turn).await,
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.demo.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

type Asked<'a> = (Method, &'a str, HeaderMap);

fn navigation(path: &str) -> Asked<'_> {
    navigation_of(Method::GET, path)
}

fn navigation_of(method: Method, path: &str) -> Asked<'_> {
    let headers = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    (method, path, headers.into_iter().map(header).collect())
}

fn script(path: &str) -> Asked<'_> {
    let headers = [("accept", "application/json"), ("sec-fetch-mode", "cors")];
    (Method::GET, path, headers.into_iter().map(header).collect())
}

fn header((name, value): (&str, &str)) -> (HeaderName, axum::http::HeaderValue) {
    (name.parse().unwrap(), value.parse().unwrap())
}

fn with<'a>((method, path, mut headers): Asked<'a>, site: &str) -> Asked<'a> {
    headers.insert("sec-fetch-site", site.parse().unwrap());
    (method, path, headers)
}

fn with_cookie<'a>((method, path, mut headers): Asked<'a>, cookie: &str) -> Asked<'a> {
    headers.insert("cookie", cookie.parse().unwrap());
    (method, path, headers)
}

fn percentile(took: &mut [Duration], of_hundred: usize) -> Duration {
    took.sort();
    took[(took.len() - 1) * of_hundred / 100]
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

mod n13 {
    use super::*;

    #[test]
    fn attacked_demo_answers_everybody_in_bounded_memory() {
        // The fake has its own thread, since it would otherwise queue behind all the browsers.
        let (browsers, webflow) = (runtime(2), runtime(1));
        browsers.block_on(attack(&webflow));
    }
}

async fn attack(webflow: &Runtime) {
    // The test measures the process, so a busy disk must not make the store time out.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.unwrap();
    let store = format!("sqlite:{}", folder.path().join("demo.db").display());
    let address = std::net::TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().to_string();
    let fake = FakeWebflow::builder().redirect_uri(redirect_uri(&address));
    let fake = webflow.spawn(fake.start()).await.unwrap().unwrap();
    let settings =
        [("WEBFLOW_SCOPES", "sites:read cms:read"), ("DEMO_STORE", &store), ("RUST_LOG", "warn")];
    let demo = Demo::against(&fake, &address, &settings).await;
    let newcomer = TestBrowser::new();
    let (completed, finishing) = (AtomicUsize::new(0), Semaphore::new(FINISHING));
    let took = Mutex::default();
    let mut stage = Arc::new(Stage { demo, fake, newcomer, completed, finishing, took });
    for turn in 0..4 {
        stage.connection(turn, Instant::now()).await;
    }
    stage.took.lock().unwrap().clear();

    let mut resident = vec![stage.resident_mib()];
    for wave in WAVES {
        stage.wave(wave).await;
        resident.push(stage.resident_mib());
    }

    let mut took = std::mem::take(&mut *stage.took.lock().unwrap());
    let mut all: Vec<_> = took.values().flatten().copied().collect();
    println!("{} answers by {CONNECTIONS} connections; ms", all.len());
    for (what, took) in &mut took {
        let [half, most] = [50, 99].map(|of_hundred| percentile(took, of_hundred).as_millis());
        println!("  {what}: {} answers, p50 {half}, p99 {most}", took.len());
    }
    let [half, most] = [50, 99].map(|of_hundred| percentile(&mut all, of_hundred).as_millis());
    println!("  all: p50 {half}, p99 {most}");
    println!("resident before and after each wave: {resident:.1?} MiB");

    assert_eq!(took.len(), KINDS, "{:?}", took.keys());
    for (pair, room) in resident.windows(2).zip(ROOM_MIB) {
        assert!(pair[1] - pair[0] < room, "MiB before and after: {pair:?}");
    }
    let completed = stage.completed.load(Ordering::SeqCst);
    assert_eq!(stage.fake.issued_tokens(), completed, "only good callbacks use a code");
    stage.ask("health", 200, &mut stage.newcomer.clone(), script("/health")).await;
    let printed = Arc::get_mut(&mut stage).unwrap().demo.stop();
    assert!(!printed.contains("panicked"), "{printed}");
    assert!(!printed.contains("ERROR"), "{printed}");
}

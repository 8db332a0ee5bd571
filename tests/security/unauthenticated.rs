//! A1: the cost limits of requests without a session, from the table in docs/threat-model.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_webflow_auth::{Endpoints, config::WebflowAuthBuilder};

use crate::support;
use crate::support::hostile::{
    Answer, CALLBACK, Https, LOGIN, LOGOUT, OnLoad, TestStore, call, eventually, headers,
    parameter, settle,
};

/// The documented limits of concurrent callbacks and logouts.
const AT_ONCE: usize = 256;

/// Slightly more than twice the limit.
const FLOOD: usize = 600;

/// A browser's part of a flow that it started.
struct Begun {
    cookie: String,
    state: String,
}

async fn begin(app: &Router) -> Begun {
    let answer = call(app.clone(), "GET", LOGIN, &[("sec-fetch-mode", "navigate")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    Begun { cookie: answer.jar(), state: parameter(answer.location(), "state") }
}

fn junk_callback(state: &str) -> String {
    format!("{CALLBACK}?code=junk&state={state}")
}

/// Asserts a 503 with `Retry-After` that keeps the browser's flow.
fn assert_refused(status: StatusCode, headers: &HeaderMap) {
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"), "{headers:?}");
    assert!(!headers.contains_key("set-cookie"), "{headers:?}");
}

mod a1_cost_of_one_request {
    use super::*;
    use tower_webflow_auth::webhooks::WebflowEvent;

    const DOCUMENT: &str = include_str!("../../docs/threat-model.md");

    /// The cells of the row that starts with this text, without the first and the last cell.
    fn documented(request: &str) -> [&'static str; 3] {
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| {request} |")));
        let row = row.unwrap_or_else(|| panic!("no row: {request}"));
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells[1..4].try_into().unwrap()
    }

    struct Costs {
        app: Https,
        router: Router,
        store: TestStore,
    }

    impl Costs {
        async fn new() -> Self {
            let store = TestStore::default();
            let kept = store.clone();
            let secret = "a secret of a webhook that nobody knows";
            let change = |b: WebflowAuthBuilder| b.store(kept).webhook_secret(secret);
            let app = Https::start(change, support::router).await;
            let handler = post(|_: WebflowEvent| async {}).layer(app.auth.webhooks());
            let router = support::router(&app.auth).route("/hooks", handler);
            Self { app, router, store }
        }

        async fn ask(&self, method: &str, target: &str, cookie: &str) -> Answer {
            let pairs = [
                ("cookie", cookie),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", "same-origin"),
            ];
            call(self.router.clone(), method, target, &pairs).await
        }

        /// The cost of a request, made twice: its store reads, its calls to Webflow, and whether it
        /// continues after its client disconnects.
        async fn assert_row(&self, row: &str, method: &str, twice: [(&str, &str); 2]) {
            let [(target, cookie), (again, other)] = twice;
            let reads = self.store.loads.load(Ordering::SeqCst);
            let calls = self.app.fake.log().len();
            self.ask(method, target, cookie).await;
            let reads = self.store.loads.load(Ordering::SeqCst) - reads;
            let calls = self.app.fake.log().len() - calls;
            let goes_on = if self.goes_on(method, again, other).await { "yes" } else { "no" };
            let found = [reads.to_string(), calls.to_string(), goes_on.to_owned()];
            assert_eq!(found.each_ref().map(String::as_str), documented(row), "{row}");
        }

        /// Whether a request leaves tasks behind if its client disconnects while the store hangs.
        async fn goes_on(&self, method: &str, target: &str, cookie: &str) -> bool {
            let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
            settle().await;
            let before = tasks();
            self.store.on_load(OnLoad::Hang);
            let asked = self.ask(method, target, cookie);
            let ended = futures::FutureExt::now_or_never(asked).is_some();
            let left = tasks() > before;
            assert!(ended || left, "a request without a task waits for nothing");
            self.store.on_load(OnLoad::Answer);
            // The store's time limit ends the remaining tasks.
            eventually("the tasks end", || tasks() <= before).await;
            left
        }
    }

    #[tokio::test]
    async fn is_as_documented() {
        let costs = Costs::new().await;
        let unknown = junk_callback("bm9ib2R5IGhhcyBiZWd1biB0aGlz");
        for (row, method, target) in [
            ("a protected path", "GET", "/sites"),
            ("the login path", "GET", LOGIN),
            ("a callback without `state`", "GET", "/auth/webflow/callback?code=junk"),
            ("a callback with an unknown `state`", "GET", &unknown),
            ("a logout without a flow cookie", "POST", LOGOUT),
            ("a webhook without a valid signature", "POST", "/hooks"),
        ] {
            costs.assert_row(row, method, [(target, ""); 2]).await;
        }
    }

    #[tokio::test]
    async fn of_made_up_codes_is_as_documented() {
        let costs = Costs::new().await;
        for (row, before) in [
            ("a callback with a made-up code", 0),
            ("its second and third made-up code, each", 1),
            ("its second and third made-up code, each", 2),
            ("any further code of that flow", 3),
        ] {
            let mut flows = Vec::new();
            for _ in 0..2 {
                let Begun { cookie, state } = begin(&costs.router).await;
                let target = junk_callback(&state);
                for _ in 0..before {
                    costs.ask("GET", &target, &cookie).await;
                }
                flows.push((target, cookie));
            }
            let twice = [&flows[0], &flows[1]].map(|it| (it.0.as_str(), it.1.as_str()));
            costs.assert_row(row, "GET", twice).await;
        }
    }

    #[tokio::test]
    async fn c3_of_a_logout_with_flows_is_as_documented() {
        let costs = Costs::new().await;
        let mut flows = Vec::new();
        for _ in 0..12 {
            flows.push(begin(&costs.router).await.cookie);
        }
        let row = "a logout with flow cookies";
        costs.assert_row(row, "POST", [(LOGOUT, &flows.join("; ")); 2]).await;
        // A repeated cookie is one flow.
        let reads = costs.store.loads.load(Ordering::SeqCst);
        costs.ask("POST", LOGOUT, &vec![flows[0].as_str(); 64].join("; ")).await;
        assert_eq!(costs.store.loads.load(Ordering::SeqCst) - reads, 1);
    }
}

/// A Webflow that never answers exchanges, but counts them.
#[derive(Default)]
struct Exchanges {
    started: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Exchanges {
    async fn serve(self: &Arc<Self>) -> Endpoints {
        struct Running(Arc<Exchanges>);

        impl Drop for Running {
            fn drop(&mut self) {
                self.0.running.fetch_sub(1, Ordering::SeqCst);
            }
        }

        let counted = Arc::clone(self);
        let exchange = move || {
            let running = counted.running.fetch_add(1, Ordering::SeqCst) + 1;
            counted.most.fetch_max(running, Ordering::SeqCst);
            counted.started.fetch_add(1, Ordering::SeqCst);
            let running = Running(Arc::clone(&counted));
            async move {
                let _running = running;
                std::future::pending::<()>().await;
            }
        };
        let app = Router::new().route("/oauth/access_token", post(exchange));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Endpoints::at(&base).unwrap()
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

/// An application on a socket, with a Webflow that hangs.
struct Flooded {
    exchanges: Arc<Exchanges>,
    router: Router,
    address: std::net::SocketAddr,
}

impl Flooded {
    async fn start(outside: impl FnOnce(Router) -> Router) -> Self {
        let exchanges = Arc::new(Exchanges::default());
        let endpoints = exchanges.serve().await;
        let app = Https::start(|builder| builder.endpoints(endpoints), support::router).await;
        let router = support::router(&app.auth);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = outside(router.clone());
        tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
        Self { exchanges, router, address }
    }

    /// Sends that many callbacks at a time. Each client disconnects once its exchange has started
    /// or it was refused. Returns the number of refusals.
    async fn flood(&self, client: &impl HangsUp, at_a_time: usize) -> usize {
        let mut begun = Vec::new();
        for _ in 0..FLOOD {
            begun.push(begin(&self.router).await);
        }
        let (mut sent, refused) = (0, AtomicUsize::new(0));
        for begun in begun.chunks(at_a_time) {
            sent += begun.len();
            let (this, refused) = (self, &refused);
            let send_one = |begun| async move {
                let (status, headers) = client.send(this.address, begun).await;
                assert_refused(status, &headers);
                refused.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            };
            let all_are_there =
                || self.exchanges.started() + refused.load(Ordering::SeqCst) == sent;
            tokio::select! {
                _ = futures::future::join_all(begun.iter().map(send_one)) => {}
                () = eventually("exchanges or refusals", all_are_there) => {}
            }
        }
        refused.into_inner()
    }

    fn assert_bounded(&self, refused: usize) {
        let most = self.exchanges.most.load(Ordering::SeqCst);
        assert_eq!(most, AT_ONCE, "exchanges at the same time");
        assert!(refused > 0 && refused + self.exchanges.started() == FLOOD, "{refused} refused");
    }
}

/// A client whose request is cancelled when the future is dropped.
trait HangsUp {
    async fn send(&self, to: std::net::SocketAddr, begun: &Begun) -> (StatusCode, HeaderMap);
}

struct Http1;

impl HangsUp for Http1 {
    async fn send(&self, to: std::net::SocketAddr, begun: &Begun) -> (StatusCode, HeaderMap) {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let target = junk_callback(&begun.state);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: app.example.com\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            begun.cookie
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let mut lines = answer.split("\r\n\r\n").next().unwrap().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        (status, headers(&pairs))
    }
}

/// A dropped request resets its stream.
struct Http2(Client<HttpConnector, Empty<bytes::Bytes>>);

impl HangsUp for Http2 {
    async fn send(&self, to: std::net::SocketAddr, begun: &Begun) -> (StatusCode, HeaderMap) {
        let request = Request::get(format!("http://{to}{}", junk_callback(&begun.state)))
            .header("cookie", &begun.cookie)
            .body(Empty::new())
            .unwrap();
        let (parts, _) = self.0.request(request).await.unwrap().into_parts();
        (parts.status, parts.headers)
    }
}

mod a1_and_c1_callbacks_whose_clients_hang_up {
    use super::*;

    #[tokio::test]
    async fn are_bounded_over_http_1() {
        let app = Flooded::start(|router| router).await;
        let refused = app.flood(&Http1, FLOOD / 4).await;
        app.assert_bounded(refused);
    }

    #[tokio::test]
    async fn are_bounded_as_reset_streams_of_http_2() {
        let app = Flooded::start(|router| router).await;
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let refused = app.flood(&Http2(client), FLOOD / 4).await;
        app.assert_bounded(refused);
    }

    #[tokio::test]
    async fn are_bounded_behind_a_concurrency_limit() {
        let limit = GlobalConcurrencyLimitLayer::new(8);
        let app = Flooded::start(|router| router.layer(limit)).await;
        let refused = app.flood(&Http1, 8).await;
        app.assert_bounded(refused);
    }
}

mod a1_logouts_whose_clients_hang_up {
    use super::*;

    #[tokio::test]
    async fn are_bounded_while_the_store_hangs() {
        let store = TestStore::default();
        let kept = store.clone();
        let change = |b: WebflowAuthBuilder| b.store(kept).store_timeout(Duration::from_secs(30));
        let app = Https::start(change, support::router).await;
        let router = support::router(&app.auth);
        let mut flows = Vec::new();
        for _ in 0..FLOOD {
            flows.push(begin(&router).await.cookie);
        }
        // The first lookup starts the task that receives changes by other instances.
        let first = begin(&router).await.cookie;
        let pairs = [("cookie", first.as_str()), ("sec-fetch-site", "same-origin")];
        call(router.clone(), "POST", LOGOUT, &pairs).await;
        let loads = store.loads.load(Ordering::SeqCst);
        store.on_load(OnLoad::Hang);
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let mut refused = 0;
        for cookie in &flows {
            let pairs = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
            let mut asked = std::pin::pin!(call(router.clone(), "POST", LOGOUT, &pairs));
            if let std::task::Poll::Ready(answer) = futures::poll!(asked.as_mut()) {
                assert_refused(answer.status, &answer.headers);
                refused += 1;
            }
        }
        settle().await;
        assert_eq!(refused, FLOOD - AT_ONCE);
        assert_eq!(store.loads.load(Ordering::SeqCst) - loads, AT_ONCE);
        // Each is one task, plus one for its read.
        assert_eq!(tasks() - before, 2 * AT_ONCE);
    }
}

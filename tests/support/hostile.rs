//! Tools for attacks and accidents: raw sockets, a Webflow that lies, a store that fails on
//! command, and an application on https without the TLS.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower_webflow_auth::store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::testing::{FakeWebflow, Page, TestBrowser};
use tower_webflow_auth::{
    Clock, Keyring, Scope, Subject, WebflowAuthLayer, config::WebflowAuthBuilder,
};

use crate::support::{App, KEY, log, router};

pub const HOST: &str = "127.0.0.1";
pub const CALLBACK: &str = "/auth/webflow/callback";
pub const LOGIN: &str = "/auth/webflow/login";
pub const LOGOUT: &str = "/auth/webflow/logout";

/// The time limit for sockets and background tasks.
const PATIENCE: Duration = Duration::from_secs(20);

/// A response as received over the wire.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

/// Sends exactly these bytes and reads until the server closes.
pub async fn raw(app: &App, request: impl AsRef<[u8]>) -> RawAnswer {
    let talk = async {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        // A server that refuses early may close before it has read everything.
        stream.write_all(request.as_ref()).await.ok();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok();
        bytes
    };
    let bytes = tokio::time::timeout(PATIENCE, talk).await.expect("an answer in time");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    RawAnswer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request whose target and header lines are sent verbatim.
pub async fn raw_request(app: &App, method: &str, target: &str, headers: &[&str]) -> RawAnswer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", app.address);
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("Connection: close\r\n\r\n");
    raw(app, request).await
}

pub async fn raw_get(app: &App, target: &str, headers: &[&str]) -> RawAnswer {
    raw_request(app, "GET", target, headers).await
}

/// This browser's cookies, as the value of a `Cookie` header.
pub fn cookies_of(browser: &TestBrowser) -> String {
    let pairs: Vec<_> =
        browser.cookies(HOST).iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("; ")
}

/// A `Cookie` line with this browser's cookies.
pub fn cookie_line(browser: &TestBrowser) -> String {
    format!("Cookie: {}", cookies_of(browser))
}

/// The name and value of each cookie that a response sets. Removals have an empty value.
pub fn cookies_set<'a>(sets: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    let pair = |set: &str| {
        let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    sets.into_iter().map(pair).collect()
}

pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

/// The value of a query's parameter, still encoded.
pub fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("a query").1;
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    pair.unwrap_or_else(|| panic!("no {name} in {url}")).to_owned()
}

/// Starts a flow, and returns the state that the callback must have.
pub async fn begin(app: &App, browser: &mut TestBrowser, path: &str) -> String {
    let challenge = browser.step(&app.url(path)).await.unwrap();
    parameter(challenge.location().expect("a redirect to Webflow").as_str(), "state")
}

/// Asserts a refusal: no code used, no cookie set, no token issued.
pub fn assert_refused(app: &App, page: &Page) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
    assert_no_exchange(app);
}

pub fn assert_no_exchange(app: &App) {
    assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "a code was used");
    assert_eq!(app.fake.issued_tokens(), 0);
}

/// Runs all tasks until they only wait for I/O or for the test.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Whether a future is still pending after [`settle`]: at a gate, unless it does I/O.
pub async fn waits<F: Future>(mut future: Pin<&mut F>) -> bool {
    let first = futures::poll!(future.as_mut());
    settle().await;
    first.is_pending() && futures::poll!(future).is_pending()
}

/// Waits until an application's state is as expected.
pub async fn eventually_by(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "in vain: {what}");
}

/// Waits for the effect of a background task.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    eventually_by(what, async || done()).await;
}

/// Another process of the same application, with its own socket, cache and pending flows, but the
/// same client, redirect URI, keys and, if given, store. Redirects lead the browser to the first
/// one's address, as behind a load balancer.
pub async fn second_instance(
    first: &App,
    change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
) -> App {
    App::with(|builder| {
        change(
            builder
                .client_id(first.fake.client_id())
                .client_secret(first.fake.client_secret().to_owned())
                .redirect_uri(first.url(CALLBACK))
                .endpoints(first.fake.endpoints())
                .clock(first.clock.clone()),
        )
    })
    .await
}

/// A server in Webflow's place that answers every request with the same bytes, then closes.
pub struct LyingWebflow {
    pub base: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl LyingWebflow {
    /// `drip` sends byte by byte with that pause, and then repeats the last byte forever.
    pub async fn start(answer: impl Into<Vec<u8>>, drip: Option<Duration>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        let listener = TcpListener::bind((HOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn({
            let asked = Arc::clone(&asked);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(lie(stream, Arc::clone(&answer), drip, Arc::clone(&asked)));
                }
            }
        });
        Self { base, asked, server }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for LyingWebflow {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn lie(
    mut stream: TcpStream,
    answer: Arc<[u8]>,
    drip: Option<Duration>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    asked.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    let Some(pause) = drip else {
        stream.write_all(&answer).await.ok();
        return;
    };
    for byte in answer.iter().chain(std::iter::repeat(answer.last().unwrap())) {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// What a [`TestStore`] does with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSave {
    #[default]
    Keep,
    /// The engine rejects it.
    Refuse,
    /// The engine stores the row, but the acknowledgement is lost.
    KeepAndFail,
    /// The engine waits until the test opens the gate.
    Gate,
    Panic,
}

/// What a [`TestStore`] does with a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLoad {
    #[default]
    Answer,
    Refuse,
    Hang,
    /// A replica that no longer receives changes: the rows of [`Inner::lag`].
    Lag,
    Panic,
}

/// What a [`TestStore`] does with a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRemove {
    #[default]
    Remove,
    Refuse,
    /// The engine removes the row, but the acknowledgement is lost.
    RemoveAndFail,
    Panic,
    /// The engine waits until the test opens the gate.
    Gate,
}

/// A store whose rows can all be read and changed, and that fails on command.
#[derive(Clone, Default)]
pub struct TestStore(Arc<Inner>);

pub struct Inner {
    rows: Mutex<HashMap<TokenKey, SealedToken>>,
    /// The rows that a lagging replica has.
    replica: Mutex<HashMap<TokenKey, SealedToken>>,
    on_save: Mutex<OnSave>,
    on_load: Mutex<OnLoad>,
    on_remove: Mutex<OnRemove>,
    /// Reads for this subject are refused.
    unreadable: Mutex<Option<Subject>>,
    /// Every version that was written.
    versions: Mutex<BTreeSet<TokenVersion>>,
    /// Reads lag behind: a removal is acknowledged, but the row is still read.
    pub removals_lag: AtomicBool,
    pub loads: AtomicUsize,
    pub saves: AtomicUsize,
    /// Completed writes.
    pub saved: AtomicUsize,
    pub removals: AtomicUsize,
    pub removed: AtomicUsize,
    /// Writes whose future was dropped before its end.
    pub writes_dropped: AtomicUsize,
    /// Writes that wait at the gate.
    waiting: AtomicUsize,
    gate: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            replica: Mutex::default(),
            on_save: Mutex::default(),
            on_load: Mutex::default(),
            on_remove: Mutex::default(),
            unreadable: Mutex::default(),
            versions: Mutex::default(),
            removals_lag: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            saves: AtomicUsize::new(0),
            saved: AtomicUsize::new(0),
            removals: AtomicUsize::new(0),
            removed: AtomicUsize::new(0),
            writes_dropped: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        }
    }
}

impl std::ops::Deref for TestStore {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    pub fn on_save(&self, what: OnSave) {
        *self.on_save.lock().unwrap() = what;
    }

    pub fn on_load(&self, what: OnLoad) {
        *self.on_load.lock().unwrap() = what;
    }

    pub fn on_remove(&self, what: OnRemove) {
        *self.on_remove.lock().unwrap() = what;
    }

    pub fn unreadable(&self, subject: Option<Subject>) {
        *self.unreadable.lock().unwrap() = subject;
    }

    pub fn versions(&self) -> BTreeSet<TokenVersion> {
        self.versions.lock().unwrap().clone()
    }

    /// Lets one write through.
    pub fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    /// Lets all waiting writes through.
    pub fn open_gate_for_all(&self) {
        self.gate.add_permits(self.waiting.load(Ordering::SeqCst));
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    async fn pass_the_gate(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Updates the lagging replica to the current rows.
    pub fn lag(&self) {
        self.replica.lock().unwrap().clone_from(&self.rows.lock().unwrap());
    }

    pub fn rows(&self) -> Vec<SealedToken> {
        self.rows.lock().unwrap().values().cloned().collect()
    }

    /// Puts rows into the store, as an attacker with write access to the database could.
    pub fn plant(&self, rows: impl IntoIterator<Item = SealedToken>) {
        let mut all = self.rows.lock().unwrap();
        for row in rows {
            all.insert(row.key().clone(), row);
        }
    }

    /// Waits until the row may be written.
    async fn begin_save(&self, token: &SealedToken) -> Result<OnSave, StoreError> {
        self.saves.fetch_add(1, Ordering::SeqCst);
        self.versions.lock().unwrap().insert(token.version());
        let mut unfinished = Unfinished(&self.writes_dropped, false);
        let on_save = *self.on_save.lock().unwrap();
        match on_save {
            OnSave::Keep | OnSave::KeepAndFail | OnSave::Refuse => {}
            OnSave::Gate => self.pass_the_gate().await,
            OnSave::Panic => panic!("the store panics, as the test wants"),
        }
        unfinished.1 = true;
        if on_save == OnSave::Refuse { Err(refused()) } else { Ok(on_save) }
    }

    fn end_save(&self, on_save: OnSave) -> Result<(), StoreError> {
        self.saved.fetch_add(1, Ordering::SeqCst);
        if on_save == OnSave::KeepAndFail { Err(refused()) } else { Ok(()) }
    }

    fn keep(&self, row: &SealedToken) {
        self.rows.lock().unwrap().insert(row.key().clone(), row.clone());
    }
}

fn refused() -> StoreError {
    StoreError::unavailable("refused, as the test wants")
}

/// Counts a write that was dropped before its end.
struct Unfinished<'a>(&'a AtomicUsize, bool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl TokenStore for TestStore {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let unreadable = self.unreadable.lock().unwrap().clone();
        if unreadable.is_some_and(|it| it.id() == subject.id()) {
            return Err(refused());
        }
        let on_load = *self.0.on_load.lock().unwrap();
        match on_load {
            OnLoad::Answer | OnLoad::Lag => {
                let mut rows = if on_load == OnLoad::Lag {
                    self.replica.lock().unwrap().values().cloned().collect()
                } else {
                    self.rows()
                };
                rows.retain(|row| row.key().subject() == subject);
                rows.sort_by_key(|row| std::cmp::Reverse(row.version()));
                Ok(rows)
            }
            OnLoad::Refuse => Err(refused()),
            OnLoad::Hang => std::future::pending().await,
            OnLoad::Panic => panic!("the store panics, as the test wants"),
        }
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        let on_save = self.begin_save(token).await?;
        self.keep(token);
        self.end_save(on_save)
    }

    /// Like the provided method, but compares and writes atomically, however long it waits before.
    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        let same = |row: &SealedToken| (row.key(), row.version()) == (token.key(), token.version());
        if !self.load(token.key().subject()).await?.iter().any(same) {
            return Ok(false);
        }
        let on_save = self.begin_save(token).await?;
        let mut rows = self.0.rows.lock().unwrap();
        let there = rows.get(token.key()).is_some_and(same);
        if there {
            rows.insert(token.key().clone(), token.clone());
        }
        drop(rows);
        self.end_save(on_save).map(|()| there)
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.removals.fetch_add(1, Ordering::SeqCst);
        let mut unfinished = Unfinished(&self.writes_dropped, false);
        let on_remove = *self.0.on_remove.lock().unwrap();
        match on_remove {
            OnRemove::Remove | OnRemove::RemoveAndFail => {}
            OnRemove::Refuse => {
                unfinished.1 = true;
                return Err(refused());
            }
            OnRemove::Panic => panic!("the store panics, as the test wants"),
            OnRemove::Gate => self.pass_the_gate().await,
        }
        unfinished.1 = true;
        let mut rows = self.0.rows.lock().unwrap();
        let there = rows.get(key).is_some_and(|row| row.version() == version);
        if there {
            self.removed.fetch_add(1, Ordering::SeqCst);
            if !self.removals_lag.load(Ordering::SeqCst) {
                rows.remove(key);
            }
        }
        drop(rows);
        if on_remove == OnRemove::RemoveAndFail { Err(refused()) } else { Ok(there) }
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        let mut rows = self.rows();
        rows.retain(|row| after.is_none_or(|after| row.key() > after));
        rows.sort_by(|a, b| a.key().cmp(b.key()));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        let mut rows = self.rows();
        rows.retain(|row| row.sites().iter().any(|site| site == site_id));
        Ok(rows)
    }
}

/// Calls an application in process, with these headers.
pub async fn call(router: Router, method: &str, target: &str, pairs: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    *request.headers_mut() = headers(pairs);
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// Calls the usual application in process, as a script in this browser would.
pub async fn call_from(browser: &TestBrowser, app: &App, method: &str, target: &str) -> Answer {
    let own = [
        ("accept", "application/json"),
        ("cookie", &cookies_of(browser)),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ];
    call(router(&app.auth), method, target, &own).await
}

/// An application on `https://app.example.com`, called in process, behind a TLS proxy.
pub struct Https {
    pub fake: FakeWebflow,
    pub clock: Clock,
    pub auth: WebflowAuthLayer,
    router: Router,
}

pub const ORIGIN: &str = "https://app.example.com";

impl Https {
    pub async fn start(
        change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
        router: impl FnOnce(&WebflowAuthLayer) -> Router,
    ) -> Self {
        log::install();
        let redirect_uri = format!("{ORIGIN}{CALLBACK}");
        let clock = Clock::manual(std::time::SystemTime::now());
        let fake = FakeWebflow::builder()
            .redirect_uri(&redirect_uri)
            .clock(clock.clone())
            .start()
            .await
            .unwrap();
        let builder = WebflowAuthLayer::builder()
            .client_id(fake.client_id())
            .client_secret(fake.client_secret().to_owned())
            .redirect_uri(redirect_uri)
            .scopes([Scope::SITES_READ, Scope::CMS_READ])
            .keyring(Keyring::from_base64(KEY).unwrap())
            .endpoints(fake.endpoints())
            .clock(clock.clone());
        let auth = change(builder).build().unwrap();
        let router = router(&auth);
        Self { fake, clock, auth, router }
    }

    /// A request with these headers.
    pub async fn ask(&self, method: &str, target: &str, pairs: &[(&str, &str)]) -> Answer {
        call(self.router.clone(), method, target, pairs).await
    }

    /// A navigation with these cookies.
    pub async fn visit(&self, target: &str, cookies: &str) -> Answer {
        self.ask("GET", target, &[("sec-fetch-mode", "navigate"), ("cookie", cookies)]).await
    }

    /// Runs a whole flow, and returns the responses to the challenge and to the callback.
    pub async fn connect(&self, target: &str) -> (Answer, Answer) {
        let challenge = self.visit(target, "").await;
        let callback = self.fake.approve(challenge.location()).unwrap();
        let target = format!("{}?{}", callback.path(), callback.query().unwrap());
        let done = self.visit(&target, &challenge.jar()).await;
        (challenge, done)
    }
}

/// The response of an application that is called in process.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap()).collect()
    }

    /// The cookies that a browser without cookies has after this response.
    pub fn jar(&self) -> String {
        let kept: Vec<_> = cookies_set(self.set_cookies())
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        kept.join("; ")
    }
}

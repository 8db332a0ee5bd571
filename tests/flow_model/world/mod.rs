//! The application in the hands of its users and its attacker, and what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{
    Clock, GrantPolicy, Keyring, Scope, Subject, WebflowAuthLayer, WebflowGrants, WebflowToken,
    Why, config::CacheConfig,
};

use crate::plan::{BROWSERS, INSTANCES, Of, Outage, Setup, Step};
use crate::support::hostile::{
    CALLBACK, LOGOUT, ORIGIN, OnLoad, OnRemove, OnSave, TestStore, cookies_set, eventually,
    headers, parameter, settle,
};

mod steps;

const SESSION: &str = "__Host-webflow-session";
const FLOW: &str = "__Host-webflow-flow-";
/// Short, since a store that hangs is waited for in real time.
const STORE_TIMEOUT: Duration = Duration::from_millis(60);
const FLOW_LIFETIME: Duration = Duration::from_secs(900);

/// Whoever agrees at Webflow: a person, or one of two users of the application that one browser
/// has. Each has workspaces of their own, by which their grants are known.
type Owner = usize;

/// What a token is good for: two of each owner's.
type Workspace = usize;
const OWNERS: usize = BROWSERS + 1;

pub(crate) struct World {
    runtime: Runtime,
    inner: Inner,
}

struct Inner {
    setup: Setup,
    fake: FakeWebflow,
    clock: Clock,
    store: TestStore,
    outage: Outage,
    http: reqwest::Client,
    /// Newest first, all that there have ever been.
    keys: Vec<String>,
    /// What `on_revoked` was told: the subject and the token.
    told: Arc<Mutex<Vec<(String, String)>>>,
    /// The dead tokens that an instance has met.
    met_dead: BTreeSet<(Process, String)>,
    /// Tokens that a callback has replaced during an outage: their rows may wait to be removed in the
    /// background.
    replaced: BTreeSet<String>,
    instances: Vec<Instance>,
    browsers: Vec<Browser>,
    /// The tokens that Webflow was ever asked about: each is, once it is issued.
    issued: BTreeSet<String>,
    /// What was stored after the step before.
    stored: BTreeMap<String, Workspace>,
    uninstalls: usize,
}

/// An instance, and how often it has been started.
type Process = (usize, usize);

struct Instance {
    router: Router,
    /// How often it has been started: what it knows by heart ends with it.
    incarnation: usize,
}

#[derive(Default)]
struct Browser {
    jar: BTreeMap<String, String>,
    /// Who is signed in to the application.
    user: Owner,
    /// Something has happened by which rows may be left that this browser does not know of.
    has_lost_track: bool,
    flows: Vec<Flow>,
    callbacks: Vec<Callback>,
}

struct Flow {
    owner: Owner,
    state: String,
    authorize: String,
    cookie: String,
    began: SystemTime,
    keys: usize,
    /// What it brought.
    tokens: Vec<String>,
    /// It was open in a browser that logged out and heard so: nothing comes of it any more.
    over: bool,
    /// The same where the browser did not hear so: the instance still knows.
    over_at: BTreeSet<Process>,
    /// How many of its callbacks each process has refused, at most.
    refused: BTreeMap<Process, usize>,
}

struct Callback {
    flow: usize,
    code: String,
    uninstalls: usize,
    /// Somebody has sent it to the application already.
    tried: bool,
    /// What it brought.
    tokens: Vec<String>,
}

/// The place of a browser's flow or callback.
#[derive(Clone, Copy)]
struct At {
    browser: usize,
    nth: usize,
}

struct Answered {
    status: StatusCode,
    location: Option<String>,
    sets: Vec<(String, String)>,
    text: String,
}

impl Answered {
    fn is_done(&self) -> bool {
        self.status.is_success() || self.status.is_redirection()
    }
}

/// What a step may have done to what is stored.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each permits one effect, and any may go together"
)]
struct Effect {
    /// Whose grants may be gone, and still be alive at Webflow: superseded, or logged out.
    may_drop: Option<Owner>,
    /// They are gone because a new grant took their place, if they are.
    supersedes: bool,
    /// No code may have been exchanged.
    exchanges_nothing: bool,
    /// What the logout ended, and what it has told Webflow to end.
    gone: Vec<String>,
    revoked: Vec<String>,
    /// The callback that brought what was issued.
    callback: Option<At>,
    /// What goes is reported to `on_revoked`.
    reports: bool,
    /// What goes is revoked.
    revokes: bool,
    /// Nothing may have changed.
    changes_nothing: bool,
    /// What was issued may be alive although it is not stored: logged out in the middle.
    may_lose_the_new: bool,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let inner = runtime.block_on(Inner::new(setup));
        Self { runtime, inner }
    }

    pub(crate) fn take(&mut self, step: Step) {
        let inner = &mut self.inner;
        self.runtime.block_on(async {
            inner.pass(Duration::from_millis(100));
            let effect = inner.take(step).await;
            inner.pass(Duration::from_millis(100));
            inner.check(effect).await;
        });
    }

    /// Every flow ends, by itself if nobody ends it.
    pub(crate) fn end(mut self) {
        let inner = &mut self.inner;
        self.runtime.block_on(inner.end());
    }
}

fn name(owner: Owner) -> String {
    format!("user{owner}")
}

fn subject(parts: &Parts) -> Option<Subject> {
    Some(Subject::user(parts.headers.get("x-user")?.to_str().ok()?))
}

/// The subject, and the workspaces of its grants.
async fn whoami(grants: WebflowGrants) -> String {
    let workspaces = grants.iter().flat_map(WebflowToken::workspaces).map(String::as_str);
    let subject = grants.iter().map(|grant| grant.subject().as_str()).take(1);
    subject.chain(workspaces).collect::<Vec<_>>().join(" ")
}

/// Keeps to itself what Webflow says.
async fn quiet(token: WebflowToken) -> &'static str {
    let answer = token.api().get("/v2/sites").send().await;
    if answer.is_ok() { "fine" } else { "failed" }
}

async fn sites(token: WebflowToken) -> Result<Response, ApiError> {
    Ok(token.api().get("/v2/sites").send().await?.text().await?.into_response())
}

impl Inner {
    async fn new(setup: Setup) -> Self {
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let mut fake = FakeWebflow::builder()
            .redirect_uri(format!("{ORIGIN}{CALLBACK}"))
            .rate_limit(1_000_000)
            .clock(clock.clone());
        for workspace in 0..OWNERS * 2 {
            fake = fake.workspace(&format!("w{workspace}"), [format!("s{workspace}")]);
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut world = Self {
            setup,
            fake: fake.start().await.unwrap(),
            clock,
            store: TestStore::default(),
            outage: Outage::None,
            http,
            keys: vec![Keyring::generate_base64()],
            told: Arc::default(),
            met_dead: BTreeSet::new(),
            replaced: BTreeSet::new(),
            instances: Vec::new(),
            browsers: (0..BROWSERS).map(|user| Browser { user, ..Browser::default() }).collect(),
            issued: BTreeSet::new(),
            stored: BTreeMap::new(),
            uninstalls: 0,
        };
        world.instances =
            (0..INSTANCES).map(|_| Instance { router: world.router(), incarnation: 0 }).collect();
        world
    }

    /// The layer with the newest so many keys.
    fn layer(&self, keys: usize, cache: CacheConfig) -> WebflowAuthLayer {
        let keys = self.keys.iter().take(keys).map(String::as_str).collect::<Vec<_>>().join(",");
        let told = Arc::clone(&self.told);
        let builder = WebflowAuthLayer::builder()
            .client_id(self.fake.client_id())
            .client_secret(self.fake.client_secret().to_owned())
            .redirect_uri(format!("{ORIGIN}{CALLBACK}"))
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::from_base64(&keys).unwrap())
            .endpoints(self.fake.endpoints())
            .http_client(self.http.clone())
            .clock(self.clock.clone())
            .cache(cache)
            .store_timeout(STORE_TIMEOUT)
            .on_revoked(move |gone| {
                let secret = gone.token().access_token().expose_secret().to_owned();
                let heard = (gone.subject().as_str().to_owned(), secret);
                let mut told = told.lock().unwrap();
                // Two instances that replace a grant at the same moment both report it.
                if gone.why() != Why::Replaced || !told.contains(&heard) {
                    told.push(heard);
                }
                std::future::ready(())
            })
            .store(self.store.clone());
        let builder =
            if self.setup.several { builder.grants(GrantPolicy::PerWorkspace) } else { builder };
        let builder = if self.setup.users { builder.subject(subject) } else { builder };
        builder.build().unwrap()
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/whoami", get(whoami))
            .route("/sites", get(sites))
            .route("/quiet", get(quiet))
            .layer(self.layer(2, CacheConfig::new()))
    }

    fn restart(&mut self, instance: usize) {
        let router = self.router();
        let instance = &mut self.instances[instance];
        *instance = Instance { router, incarnation: instance.incarnation + 1 };
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn process(&self, instance: usize) -> Process {
        (instance, self.instances[instance].incarnation)
    }

    fn set_outage(&mut self, outage: Outage) {
        self.outage = outage;
        if outage == Outage::Lag {
            self.store.lag();
        }
        self.apply_outage(outage);
    }

    fn apply_outage(&self, outage: Outage) {
        self.store.on_load(match outage {
            Outage::Reads => OnLoad::Refuse,
            Outage::Hang => OnLoad::Hang,
            Outage::Lag => OnLoad::Lag,
            _ => OnLoad::Answer,
        });
        self.store.on_save(match outage {
            Outage::Writes => OnSave::Refuse,
            Outage::Acknowledgements => OnSave::KeepAndFail,
            Outage::Hang | Outage::WritesHang => OnSave::Gate,
            _ => OnSave::Keep,
        });
        self.store.on_remove(match outage {
            Outage::Removals => OnRemove::Refuse,
            Outage::Removed => OnRemove::RemoveAndFail,
            Outage::Hang | Outage::WritesHang => OnRemove::Gate,
            _ => OnRemove::Remove,
        });
        self.store.unreadable(None);
    }

    /// The store works, and the writes that hung have ended.
    async fn heal(&self) {
        self.apply_outage(Outage::None);
        self.store.open_gate_for_all();
        eventually("the writes end", || self.store.waiting() == 0).await;
        settle().await;
    }

    /// Whose grants this browser's user gives, and may get.
    fn owner(&self, browser: usize) -> Owner {
        if self.setup.users { self.browsers[browser].user } else { browser }
    }

    fn workspace(&self, id: &str) -> Workspace {
        let at = self.fake.workspaces().iter().position(|it| it.id() == id);
        at.expect("a workspace of somebody's")
    }

    /// A request with the browser's cookies; they stay as they are.
    async fn ask(
        &self,
        browser: usize,
        instance: usize,
        method: &str,
        target: &str,
        pairs: &[(&str, &str)],
    ) -> Answered {
        let browser = &self.browsers[browser];
        let cookies: Vec<_> =
            browser.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request =
            Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
        *request.headers_mut() = headers(pairs);
        request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        request.headers_mut().insert("x-user", name(browser.user).parse().unwrap());
        let response = self.instances[instance].router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let sets = parts.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap());
        Answered {
            status: parts.status,
            location: parts.headers.get("location").map(|it| it.to_str().unwrap().to_owned()),
            sets: cookies_set(sets),
            text: String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
        }
    }

    async fn navigate(&self, browser: usize, instance: usize, target: &str) -> Answered {
        let pairs = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];
        self.ask(browser, instance, "GET", target, &pairs).await
    }

    async fn post_logout(&self, browser: usize, instance: usize, revoke: bool) -> Answered {
        let target = format!("{LOGOUT}?revoke={revoke}");
        self.ask(browser, instance, "POST", &target, &[("sec-fetch-site", "same-origin")]).await
    }

    /// The answer reaches the browser: its cookies, and the flow that it may begin.
    fn receive(&mut self, browser: usize, answer: &Answered) {
        let owner = self.owner(browser);
        let (began, keys) = (self.clock.now(), self.keys.len());
        let browser = &mut self.browsers[browser];
        for (name, value) in &answer.sets {
            if value.is_empty() {
                browser.jar.remove(name);
            } else {
                browser.jar.insert(name.clone(), value.clone());
            }
        }
        let Some(location) = &answer.location else { return };
        if !location.contains("/oauth/authorize") {
            return;
        }
        let set =
            answer.sets.iter().find(|(name, value)| name.starts_with(FLOW) && !value.is_empty());
        browser.flows.push(Flow {
            owner,
            state: parameter(location, "state"),
            authorize: location.clone(),
            cookie: set.expect("a flow has a cookie").0.clone(),
            began,
            keys,
            tokens: Vec::new(),
            over: false,
            over_at: BTreeSet::new(),
            refused: BTreeMap::new(),
        });
    }

    fn flow_at(&self, of: Of) -> At {
        At { browser: of.browser, nth: self.browsers[of.browser].flows.len() - 1 - of.back }
    }

    fn callback_at(&self, of: Of) -> At {
        At { browser: of.browser, nth: self.browsers[of.browser].callbacks.len() - 1 - of.back }
    }

    fn flow(&self, of: At) -> &Flow {
        &self.browsers[of.browser].flows[of.nth]
    }

    fn callback(&self, of: At) -> &Callback {
        &self.browsers[of.browser].callbacks[of.nth]
    }

    /// The callback's address; from now on it is not a fresh one.
    fn target(&mut self, of: At) -> String {
        let browser = &mut self.browsers[of.browser];
        let callback = &mut browser.callbacks[of.nth];
        callback.tried = true;
        let state = &browser.flows[callback.flow].state;
        format!("{CALLBACK}?code={}&state={state}", callback.code)
    }

    /// Whether nothing stands in the way of this callback.
    fn must_succeed(&self, of: At, instance: usize) -> bool {
        let callback = self.callback(of);
        let browser = &self.browsers[of.browser];
        // The flow may have been completed by another callback of its own.
        let fresh = !browser.callbacks.iter().any(|it| it.flow == callback.flow && it.tried);
        fresh && callback.uninstalls == self.uninstalls && self.is_at_hand(of, instance)
    }

    /// Whether the flow's grant is there already, so that no code is needed any more.
    fn must_repeat(&self, of: At, instance: usize) -> bool {
        let kept = self.callback(of).tokens.iter().any(|token| self.stored.contains_key(token));
        // Among several it may have been moved to another session since.
        kept && !self.setup.several && self.is_at_hand(of, instance)
    }

    /// Whether the callback's flow is open in its browser, and everything works.
    fn is_at_hand(&self, of: At, instance: usize) -> bool {
        let browser = &self.browsers[of.browser];
        let flow = &browser.flows[self.callback(of).flow];
        let age = self.clock.now().duration_since(flow.began).unwrap();
        self.outage == Outage::None
            && age < FLOW_LIFETIME
            && browser.jar.contains_key(&flow.cookie)
            && self.keys.len() - flow.keys < 2
            && (!self.setup.users || browser.user == flow.owner)
            && !self.is_over(flow, instance)
            && flow.refused.get(&self.process(instance)).is_none_or(|codes| *codes < 3)
    }

    fn is_over(&self, flow: &Flow, instance: usize) -> bool {
        flow.over || flow.over_at.contains(&self.process(instance))
    }

    async fn is_connected(&self, browser: usize, instance: usize) -> bool {
        self.grants(browser, instance).await.is_some()
    }

    /// Reads of the session that the browser has now are refused, if that is the outage.
    async fn hide_former(&self, browser: usize, instance: usize) {
        if self.outage == Outage::Former
            && let Some(grants) = self.grants(browser, instance).await
        {
            let subject = grants.split(' ').next().unwrap();
            self.store.unreadable(Some(subject.parse().unwrap()));
        }
    }

    /// What the store has of the browser's present session.
    async fn workspaces_of(&self, browser: usize, instance: usize) -> BTreeSet<String> {
        if !matches!(self.outage, Outage::None | Outage::Former) {
            return BTreeSet::new();
        }
        let Some(grants) = self.grants(browser, instance).await else { return BTreeSet::new() };
        let subject = grants.split(' ').next().unwrap().parse().unwrap();
        let handle = self.layer(2, CacheConfig::off()).handle();
        let tokens = handle.tokens(&subject).await.unwrap();
        tokens.iter().flat_map(WebflowToken::workspaces).cloned().collect()
    }

    /// The subject that this browser is at this instance, and its workspaces.
    async fn grants(&self, browser: usize, instance: usize) -> Option<String> {
        let answer =
            self.ask(browser, instance, "GET", "/whoami", &[("sec-fetch-mode", "cors")]).await;
        match answer.status {
            StatusCode::OK => Some(answer.text),
            StatusCode::UNAUTHORIZED => None,
            status => panic!("{status} with {:?}: {}", self.outage, answer.text),
        }
    }

    /// What must hold after every step.
    async fn check(&mut self, effect: Effect) {
        self.heal().await;
        for browser in 0..BROWSERS {
            for instance in 0..INSTANCES {
                let grants = self.grants(browser, instance).await;
                for workspace in grants.iter().flat_map(|grants| grants.split(' ').skip(1)) {
                    let (granted, got) = (self.workspace(workspace) / 2, self.owner(browser));
                    assert_eq!(granted, got, "browser {browser} has somebody else's grant");
                }
            }
        }
        let stored = self.stored().await;
        let issued = self.issued_meanwhile();
        assert!(!effect.exchanges_nothing || issued.is_empty(), "a code was exchanged");
        for token in &issued {
            let kept = stored.contains_key(token) || effect.may_lose_the_new;
            if !kept {
                self.dies(token, "a token is neither stored nor revoked").await;
            }
        }
        for token in &effect.gone {
            assert!(!stored.contains_key(token), "what was logged out is still there");
        }
        // What was superseded before is not told to Webflow.
        for token in effect.revoked.iter().filter(|token| self.stored.contains_key(*token)) {
            self.dies(token, "it was to be revoked").await;
        }
        if effect.changes_nothing {
            assert_eq!(stored, self.stored, "what failed has changed nothing");
        }
        self.check_hook(&effect, &stored);
        self.check_sessions(&stored);
        if effect.supersedes && self.outage != Outage::None && !issued.is_empty() {
            let owner = effect.may_drop;
            let old = self.stored.iter().filter(|(_, workspace)| Some(**workspace / 2) == owner);
            self.replaced.extend(old.map(|(token, _)| token.clone()));
        }
        let renewed: BTreeSet<_> = issued.iter().filter_map(|token| stored.get(token)).collect();
        if let Some(at) = effect.callback {
            let browser = &mut self.browsers[at.browser];
            let callback = &mut browser.callbacks[at.nth];
            callback.tokens.extend(issued.iter().cloned());
            browser.flows[callback.flow].tokens.extend(issued.iter().cloned());
        }
        for (token, workspace) in &self.stored {
            // With several grants a new one takes the place of the same workspace's only.
            let apart = effect.supersedes && self.setup.several && !renewed.contains(workspace);
            let may_go = effect.may_drop == Some(workspace / 2) && !apart && !effect.revokes;
            if !stored.contains_key(token) && !may_go && !self.replaced.contains(token) {
                self.dies(token, "a grant is gone that nobody gave up").await;
            }
        }
        self.issued.extend(issued);
        self.stored = stored;
        self.fake.clear_log();
        self.apply_outage(self.outage);
    }

    /// `on_revoked` is told of each grant that went, once.
    fn check_hook(&self, effect: &Effect, stored: &BTreeMap<String, Workspace>) {
        let told = self.told.lock().unwrap();
        for (nth, told_of) in told.iter().enumerate() {
            assert!(!told[..nth].contains(told_of), "on_revoked was called twice");
        }
        if effect.reports {
            for token in self.stored.keys().filter(|token| !stored.contains_key(*token)) {
                let heard = told.iter().any(|(_, told_of)| told_of == token)
                    || self.replaced.contains(token);
                assert!(heard, "on_revoked was not called");
            }
        }
    }

    /// Every row is of a session that its browser has, unless the browser has lost track.
    fn check_sessions(&mut self, stored: &BTreeMap<String, Workspace>) {
        if self.setup.users {
            return;
        }
        let subjects: BTreeSet<_> = self
            .store
            .rows()
            .iter()
            .filter_map(|row| Some(row.key().subject().as_str().split_once(':')?.1.to_owned()))
            .collect();
        let mut known = BTreeSet::new();
        let mut all_known = true;
        for (owner, browser) in self.browsers.iter_mut().enumerate() {
            if !stored.values().any(|workspace| workspace / 2 == owner) {
                browser.has_lost_track = false;
            }
            all_known &= !browser.has_lost_track;
            let id = browser.jar.get(SESSION).and_then(|cookie| cookie.split('.').next());
            known.extend(id.map(str::to_owned));
        }
        let stranded = subjects.difference(&known).next();
        assert!(!all_known || stranded.is_none(), "a row is of no browser's session");
    }

    /// Waits until the token is dead at Webflow.
    async fn dies(&self, token: &str, what: &str) {
        let died = async {
            while self.is_live(token).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let died = tokio::time::timeout(Duration::from_secs(3), died).await;
        assert!(died.is_ok(), "{what}");
    }

    /// Every token in the store and its workspace, read past caches and with all keys.
    async fn stored(&self) -> BTreeMap<String, Workspace> {
        let handle = self.layer(self.keys.len(), CacheConfig::off()).handle();
        let rows = self.store.rows();
        let subjects: BTreeSet<_> = rows.iter().map(|row| row.key().subject().clone()).collect();
        let mut stored = BTreeMap::new();
        let mut opened = 0;
        for subject in subjects {
            for token in handle.tokens(&subject).await.unwrap() {
                opened += 1;
                let workspace = self.workspace(&token.workspaces()[0]);
                if self.setup.users {
                    let owner = Subject::user(name(workspace / 2));
                    assert_eq!(*token.subject(), owner, "a grant is somebody else's");
                    assert_eq!(subject.id(), owner.id(), "a row is somebody else's");
                }
                stored.insert(token.access_token().expose_secret().to_owned(), workspace);
            }
        }
        assert_eq!(opened, rows.len(), "every row opens");
        stored
    }

    /// The tokens that were issued in this step: each is looked up at once.
    fn issued_meanwhile(&self) -> BTreeSet<String> {
        let looked_up = self.fake.requests_to("/v2/token/introspect");
        let bearer =
            |authorization: &str| authorization.strip_prefix("Bearer ").unwrap().to_owned();
        let tokens = looked_up.iter().map(|it| bearer(it.header("authorization").unwrap()));
        tokens.filter(|token| !self.issued.contains(token)).collect()
    }

    async fn is_live(&self, token: &str) -> bool {
        let url = format!("{}/v2/token/introspect", self.fake.base_url());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status().is_success()
    }

    async fn end(&mut self) {
        self.set_outage(Outage::None);
        self.pass(FLOW_LIFETIME);
        let issued = self.fake.issued_tokens();
        for browser in 0..BROWSERS {
            for nth in 0..self.browsers[browser].flows.len() {
                let url = self.fake.approve(&self.flow(At { browser, nth }).authorize).unwrap();
                let target = format!("{CALLBACK}?{}", url.query().unwrap());
                let answer = self.navigate(browser, nth % INSTANCES, &target).await;
                let repeated = answer.location.as_deref() == Some("/");
                let expired = answer.status == StatusCode::BAD_REQUEST;
                assert!(expired || repeated, "{}: {}", answer.status, answer.text);
            }
        }
        assert_eq!(self.fake.issued_tokens(), issued, "every flow has ended");
    }
}

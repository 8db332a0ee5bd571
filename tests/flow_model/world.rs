//! The application in the hands of its users and its attacker, and what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
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
use tower_webflow_auth::testing::{Access, FakeWebflow};
use tower_webflow_auth::{
    Clock, GrantPolicy, Keyring, Scope, Subject, WebflowAuthLayer, WebflowGrants, WebflowToken,
    config::CacheConfig,
};

use crate::support::hostile::{
    CALLBACK, LOGIN, LOGOUT, ORIGIN, OnLoad, OnRemove, OnSave, TestStore, cookies_set, eventually,
    headers, parameter, settle,
};
use crate::{BROWSERS, INSTANCES, Of, Outage, Setup, State, Step};

const SESSION: &str = "__Host-webflow-session";
const FLOW: &str = "__Host-webflow-flow-";
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
    instances: Vec<Instance>,
    browsers: Vec<Browser>,
    /// What was stored after the step before.
    stored: BTreeMap<String, Workspace>,
    uninstalls: usize,
}

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
    over_at: BTreeSet<(usize, usize)>,
}

struct Callback {
    flow: usize,
    code: String,
    uninstalls: usize,
    /// Somebody has sent it to the application already.
    tried: bool,
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
    /// Whose flow it was that brought what was issued.
    flow: Option<At>,
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
            instances: Vec::new(),
            browsers: (0..BROWSERS).map(|user| Browser { user, ..Browser::default() }).collect(),
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

    fn set_outage(&mut self, outage: Outage) {
        self.outage = outage;
        self.apply_outage(outage);
    }

    fn apply_outage(&self, outage: Outage) {
        self.store.on_load(match outage {
            Outage::Reads => OnLoad::Refuse,
            _ => OnLoad::Answer,
        });
        self.store.on_save(match outage {
            Outage::Writes => OnSave::Refuse,
            Outage::Acknowledgements => OnSave::KeepAndFail,
            _ => OnSave::Keep,
        });
        self.store.on_remove(match outage {
            Outage::Removals => OnRemove::Refuse,
            _ => OnRemove::Remove,
        });
        self.store.unreadable(None);
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
        let flow = &self.browsers[of.browser].flows[self.callback(of).flow];
        let kept = flow.tokens.iter().any(|token| self.stored.contains_key(token));
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
    }

    fn is_over(&self, flow: &Flow, instance: usize) -> bool {
        flow.over || flow.over_at.contains(&(instance, self.instances[instance].incarnation))
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
            status => panic!("{status}: {}", answer.text),
        }
    }

    async fn take(&mut self, step: Step) -> Effect {
        let nothing = || Effect { exchanges_nothing: true, ..Effect::default() };
        match step {
            Step::Begin { browser, instance } => {
                self.begin(browser, instance).await;
                nothing()
            }
            Step::Connect { browser, instance, workspace, lost } => {
                self.begin(browser, instance).await;
                let flow = At { browser, nth: self.browsers[browser].flows.len() - 1 };
                self.approve(flow, workspace);
                let nth = self.browsers[browser].callbacks.len() - 1;
                self.arrive(At { browser, nth }, instance, lost).await
            }
            Step::Approve { flow, workspace } => {
                self.approve(self.flow_at(flow), workspace);
                nothing()
            }
            Step::Deny { flow, instance } => {
                let url = self.fake.deny(&self.flow(self.flow_at(flow)).authorize).unwrap();
                let target = format!("{CALLBACK}?{}", url.query().unwrap());
                let answer = self.navigate(flow.browser, instance, &target).await;
                assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.text);
                self.receive(flow.browser, &answer);
                nothing()
            }
            Step::Arrive { callback, instance, lost } => {
                self.arrive(self.callback_at(callback), instance, lost).await
            }
            Step::ArriveTwice { callback, instances } => {
                self.arrive_twice(self.callback_at(callback), instances).await
            }
            Step::Inject { browser, code, state, instance, lost } => {
                self.inject(browser, self.callback_at(code), state, instance, lost).await
            }
            Step::Logout { browser, instance, revoke, lost } => {
                let answer = self.post_logout(browser, instance, revoke).await;
                let gone = self.logged_out(browser, instance, lost, &answer);
                if answer.is_done() && !lost {
                    assert!(!self.is_connected(browser, instance).await, "it has logged out");
                }
                let revoked = if revoke { gone.clone() } else { Vec::new() };
                Effect { may_drop: Some(self.owner(browser)), gone, revoked, ..nothing() }
            }
            Step::LogoutMeanwhile { browser, instance, revoke, late } => {
                self.begin(browser, instance).await;
                let flow = At { browser, nth: self.browsers[browser].flows.len() - 1 };
                self.approve(flow, 0);
                let nth = self.browsers[browser].callbacks.len() - 1;
                self.log_out_meanwhile(At { browser, nth }, instance, revoke, late).await
            }
            Step::Visit { browser, instance } => {
                let answer = self.navigate(browser, instance, "/sites").await;
                self.receive(browser, &answer);
                nothing()
            }
            Step::SwitchUser => {
                let user = &mut self.browsers[0].user;
                *user = if *user == 0 { BROWSERS } else { 0 };
                nothing()
            }
            Step::Pass { secs } => {
                self.pass(Duration::from_secs(secs));
                nothing()
            }
            Step::Store(outage) => {
                self.set_outage(outage);
                nothing()
            }
            Step::RollKey => {
                self.keys.insert(0, Keyring::generate_base64());
                (0..INSTANCES).for_each(|instance| self.restart(instance));
                nothing()
            }
            Step::Restart { instance } => {
                self.restart(instance);
                nothing()
            }
            Step::Uninstall => {
                self.fake.revoke_everything();
                self.uninstalls += 1;
                nothing()
            }
        }
    }

    async fn begin(&mut self, browser: usize, instance: usize) {
        let answer = self.navigate(browser, instance, LOGIN).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        self.receive(browser, &answer);
    }

    fn approve(&mut self, flow: At, workspace: usize) {
        let Flow { owner, authorize, .. } = self.flow(flow);
        let workspace = self.fake.workspaces()[owner * 2 + workspace].id().to_owned();
        let url = self.fake.approve_with(authorize, Access::Workspace(workspace)).unwrap();
        let callback = Callback {
            flow: flow.nth,
            code: parameter(url.as_str(), "code"),
            uninstalls: self.uninstalls,
            tried: false,
        };
        self.browsers[flow.browser].callbacks.push(callback);
    }

    async fn arrive(&mut self, callback: At, instance: usize, lost: bool) -> Effect {
        let browser = callback.browser;
        let must_succeed = self.must_succeed(callback, instance);
        let over =
            self.is_over(self.flow(At { browser, nth: self.callback(callback).flow }), instance);
        let must_repeat = self.must_repeat(callback, instance);
        let before = self.workspaces_of(browser, instance).await;
        self.hide_former(browser, instance).await;
        let target = self.target(callback);
        let answer = self.navigate(browser, instance, &target).await;
        if must_repeat {
            let exchanges = self.fake.requests_to("/oauth/access_token").len();
            assert_eq!(exchanges, 0, "the grant was there");
        }
        if must_succeed || must_repeat {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        }
        if over {
            // Another instance may have completed it, of which this one's logout could not know.
            let logs_in =
                answer.sets.iter().any(|(name, value)| name == SESSION && !value.is_empty());
            assert!(!logs_in, "the flow had ended: {}", answer.status);
        }
        if !lost {
            self.receive(browser, &answer);
            if must_succeed {
                assert!(self.is_connected(browser, instance).await, "just now");
            }
            // A callback that is repeated brings the browser back to the session that it made then.
            let new = !self.issued_meanwhile().is_empty();
            if new && self.setup.several && answer.sets.iter().any(|(name, _)| name == SESSION) {
                let after = self.grants(browser, instance).await.unwrap_or_default();
                let lacks = before.iter().find(|workspace| !after.contains(workspace.as_str()));
                assert_eq!(lacks, None, "the former session's grants come along");
            }
        }
        let may_drop = Some(self.owner(browser));
        let flow = At { browser, nth: self.callback(callback).flow };
        Effect {
            may_drop,
            supersedes: true,
            exchanges_nothing: over,
            flow: Some(flow),
            ..Effect::default()
        }
    }

    async fn arrive_twice(&mut self, callback: At, instances: [usize; 2]) -> Effect {
        let browser = callback.browser;
        let must_succeed = instances.iter().all(|it| self.must_succeed(callback, *it));
        let issued = self.fake.issued_tokens();
        let target = self.target(callback);
        let [one, other] = instances.map(|instance| self.navigate(browser, instance, &target));
        let answers = tokio::join!(one, other);
        for answer in [&answers.0, &answers.1] {
            if must_succeed {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
            }
            self.receive(browser, answer);
        }
        let issued = self.fake.issued_tokens() - issued;
        assert!(issued <= 1, "{issued} exchanges of one code");
        if must_succeed {
            assert!(self.is_connected(browser, instances[0]).await, "just now");
        }
        Effect { may_drop: Some(self.owner(browser)), supersedes: true, ..Effect::default() }
    }

    async fn inject(
        &mut self,
        browser: usize,
        code: At,
        state: State,
        instance: usize,
        lost: bool,
    ) -> Effect {
        let own =
            code.browser == browser && matches!(state, State::Of(flow) if flow.browser == browser);
        if let State::Of(flow) = state
            && own
            && self.flow(self.flow_at(flow)).owner
                != self.browsers[browser].flows[self.callback(code).flow].owner
        {
            // Two users of one browser: that, too, cannot be told from an honest callback.
            return Effect { exchanges_nothing: true, ..Effect::default() };
        }
        self.browsers[code.browser].callbacks[code.nth].tried |= own;
        let code = &self.callback(code).code;
        let state = match state {
            State::None => String::new(),
            State::MadeUp => "&state=bm90IG9uZSBvZiBvdXJz".to_owned(),
            State::Of(flow) => format!("&state={}", self.flow(self.flow_at(flow)).state),
        };
        let target = format!("{CALLBACK}?code={code}{state}");
        let answer = self.navigate(browser, instance, &target).await;
        if !lost {
            self.receive(browser, &answer);
        }
        if own {
            Effect { may_drop: Some(self.owner(browser)), supersedes: true, ..Effect::default() }
        } else {
            Effect { exchanges_nothing: true, ..Effect::default() }
        }
    }

    /// Of what was open in the browser nothing comes any more, and what came of it is gone: also
    /// where the browser never heard of it.
    fn logged_out(
        &mut self,
        browser: usize,
        instance: usize,
        lost: bool,
        answer: &Answered,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        if !answer.is_done() {
            return gone;
        }
        let owner = self.owner(browser);
        let known = (instance, self.instances[instance].incarnation);
        let newest = self.keys.len();
        let browser = &mut self.browsers[browser];
        for flow in &mut browser.flows {
            let open = browser.jar.contains_key(&flow.cookie);
            flow.over |= open && !lost;
            // The flows whose cookie opens no more cannot be ended, nor completed.
            if open && newest - flow.keys < 2 {
                flow.over_at.insert(known);
                if flow.owner == owner {
                    gone.append(&mut flow.tokens);
                }
            }
        }
        if !lost {
            for (name, value) in &answer.sets {
                assert!(value.is_empty(), "a logout sets nothing");
                browser.jar.remove(name);
            }
            assert!(!browser.jar.contains_key(SESSION));
            assert!(!browser.jar.keys().any(|name| name.starts_with(FLOW)));
        }
        gone
    }

    async fn log_out_meanwhile(
        &mut self,
        callback: At,
        instance: usize,
        revoke: bool,
        late: bool,
    ) -> Effect {
        let browser = callback.browser;
        self.set_outage(Outage::None);
        let writes = self.store.saves.load(Ordering::SeqCst);
        self.store.on_save(OnSave::Gate);
        let target = self.target(callback);
        let answered = std::cell::Cell::new(false);
        let arrives = async {
            let answer = self.navigate(browser, instance, &target).await;
            answered.set(true);
            answer
        };
        let leaves = async {
            // Until the grant is about to be written, or the callback has come to nothing.
            let waits = || self.store.saves.load(Ordering::SeqCst) > writes;
            eventually("a write or an answer", || waits() || answered.get()).await;
            let opens = async {
                settle().await;
                self.store.on_save(OnSave::Keep);
                if waits() {
                    self.store.open_gate();
                }
            };
            tokio::join!(self.post_logout(browser, instance, revoke), opens).0
        };
        let (arrival, logout) = tokio::join!(arrives, leaves);
        assert!(logout.is_done(), "{}: {}", logout.status, logout.text);
        if late {
            self.logged_out(browser, instance, false, &logout);
            self.receive(browser, &arrival);
        } else {
            self.receive(browser, &arrival);
            // What the browser has by now it did not have when it asked to log out.
            self.logged_out(browser, instance, true, &logout);
            self.receive(browser, &logout);
        }
        assert!(!self.is_connected(browser, instance).await, "it has logged out");
        Effect {
            may_drop: Some(self.owner(browser)),
            may_lose_the_new: !revoke,
            ..Effect::default()
        }
    }

    /// What must hold after every step.
    async fn check(&mut self, effect: Effect) {
        self.apply_outage(Outage::None);
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
            assert!(kept || !self.is_live(token).await, "a token is neither stored nor revoked");
        }
        for token in &effect.gone {
            assert!(!stored.contains_key(token), "what was logged out is still there");
        }
        // What was superseded before is not told to Webflow.
        for token in effect.revoked.iter().filter(|token| self.stored.contains_key(*token)) {
            assert!(!self.is_live(token).await, "it was to be revoked");
        }
        let renewed: BTreeSet<_> = issued.iter().filter_map(|token| stored.get(token)).collect();
        if let Some(flow) = effect.flow {
            let flow = &mut self.browsers[flow.browser].flows[flow.nth];
            flow.tokens.extend(issued.iter().cloned());
        }
        for (token, workspace) in &self.stored {
            // With several grants a new one takes the place of the same workspace's only.
            let apart = effect.supersedes && self.setup.several && !renewed.contains(workspace);
            let may_go = effect.may_drop == Some(workspace / 2) && !apart;
            if !stored.contains_key(token) && !may_go {
                assert!(!self.is_live(token).await, "a grant is gone that nobody gave up");
            }
        }
        self.stored = stored;
        self.fake.clear_log();
        self.apply_outage(self.outage);
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
        let before = &self.stored;
        let looked_up = self.fake.requests_to("/v2/token/introspect");
        let bearer =
            |authorization: &str| authorization.strip_prefix("Bearer ").unwrap().to_owned();
        let tokens = looked_up.iter().map(|it| bearer(it.header("authorization").unwrap()));
        tokens.filter(|token| !before.contains_key(token)).collect()
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

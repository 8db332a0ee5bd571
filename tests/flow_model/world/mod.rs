//! The application with its users and its attacker, and the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use tokio::runtime::Runtime;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Clock, WebflowAuthHandle, Why};

use crate::plan::{BROWSERS, Outage, Setup, Step};
use crate::support::hostile::TestStore;

mod application;
mod browser;
mod check;
mod steps;

const SESSION: &str = "__Host-webflow-session";
const FLOW: &str = "__Host-webflow-flow-";
const SIGN_IN: &str = "/sign-in";
/// Short, since a hanging store is awaited in real time.
const STORE_TIMEOUT: Duration = Duration::from_millis(60);
/// The lifetime of a flow, and then of its parked code.
const FLOW_LIFETIME: Duration = Duration::from_secs(900);

/// Who accepts at Webflow: a person, or one of two users of the application in one browser. Each
/// has their own workspaces, which identify their grants.
type Owner = usize;

/// The workspace of a token. Each owner has two.
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
    /// All keys ever used, newest first.
    keys: Vec<String>,
    /// The calls of `on_revoked`.
    told: Arc<Mutex<Vec<Told>>>,
    /// The number of calls before this step.
    told_before: usize,
    /// The dead tokens that an instance has used.
    met_dead: BTreeSet<(Process, String)>,
    /// Tokens that a callback replaced during an outage, whose rows may await removal in the
    /// background.
    replaced: BTreeSet<String>,
    /// Tokens that two instances replaced at the same moment.
    raced_for: BTreeSet<String>,
    /// Tokens whose rows no instance can decrypt anymore.
    unopenable: BTreeSet<String>,
    instances: Vec<Instance>,
    browsers: Vec<Browser>,
    /// All tokens ever issued. The application looks up each of them.
    issued: BTreeSet<String>,
    /// The grants stored after the previous step.
    stored: BTreeMap<String, Workspace>,
    uninstalls: usize,
    /// The imported tokens, and how often each was imported.
    imports: BTreeMap<String, usize>,
    last_import: Option<String>,
}

/// A call of `on_revoked`.
#[derive(PartialEq, Eq)]
struct Told {
    subject: String,
    token: String,
    why: Why,
}

/// An instance, and how often it has been started.
type Process = (usize, usize);

struct Instance {
    router: Router,
    handle: WebflowAuthHandle,
    /// How often it was started. A restart loses its memory.
    incarnation: usize,
}

struct Browser {
    jar: BTreeMap<String, String>,
    /// The person who uses the browser.
    person: Owner,
    /// Whether they are signed in to the application.
    signed_in: bool,
    /// Rows may exist that this browser does not know of.
    has_lost_track: bool,
    flows: Vec<Flow>,
    callbacks: Vec<Callback>,
}

struct Flow {
    /// Who started it. `None` if nobody was signed in.
    owner: Option<Owner>,
    state: String,
    authorize: String,
    cookie: String,
    /// When its cookie was set, and the number of keys at that time.
    since: SystemTime,
    keys: usize,
    parked: Option<Parked>,
    /// What it brought.
    tokens: Vec<String>,
    /// It was open when its browser logged out and got the response, so it cannot complete anymore.
    over: bool,
    /// The processes that ended it by a logout whose response was lost.
    over_at: BTreeSet<Process>,
    /// The most callbacks of it that each process may have refused.
    refused: BTreeMap<Process, usize>,
}

/// The code in a flow's cookie: that of the browser's callback, or an invented one.
#[derive(Clone, Copy)]
struct Parked {
    callback: Option<usize>,
}

struct Callback {
    flow: usize,
    code: String,
    /// Who accepted at Webflow, and when.
    approver: Owner,
    approved: SystemTime,
    uninstalls: usize,
    /// The application may have tried its code already.
    tried: bool,
    /// What it brought.
    tokens: Vec<String>,
}

/// The index of a browser's flow or callback.
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

    fn leads_to(&self, path: &str) -> bool {
        let location = self.location.as_ref().filter(|_| self.status == StatusCode::SEE_OTHER);
        location.is_some_and(|it| it.split('?').next() == Some(path))
    }

    fn sets_nothing(&self) -> bool {
        self.sets.iter().all(|(_, value)| value.is_empty())
    }

    fn is_refused(&self) -> bool {
        (self.status.is_client_error() || self.status.is_server_error()) && self.sets_nothing()
    }
}

/// The effects that a step may have on the store.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each permits one effect, and any may go together"
)]
struct Effect {
    /// The owner whose grants may be removed and still be valid at Webflow: superseded, or logged
    /// out.
    may_drop: Option<Owner>,
    /// If they were removed, a new grant replaced them.
    supersedes: bool,
    /// No code may be exchanged.
    exchanges_nothing: bool,
    /// The tokens that the logout removed, and those that it revoked.
    gone: Vec<String>,
    revoked: Vec<String>,
    /// The callback for which tokens were issued.
    callback: Option<At>,
    /// Removed grants are reported to `on_revoked`.
    reports: bool,
    /// The reason of the removal.
    why: Option<Why>,
    /// The imported token, which must be stored.
    imported: Option<String>,
    /// Removed grants are revoked.
    revokes: bool,
    /// Nothing may have changed.
    changes_nothing: bool,
    /// An issued token may be valid although it is not stored, because of a concurrent logout.
    may_lose_the_new: bool,
}

impl Effect {
    /// No code is exchanged, and nothing is removed.
    fn nothing() -> Self {
        Self { exchanges_nothing: true, ..Self::default() }
    }
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

    /// Lets every flow expire.
    pub(crate) fn end(mut self) {
        let inner = &mut self.inner;
        self.runtime.block_on(inner.end());
    }
}

//! The application in the hands of its users and its attacker, and what must always hold.

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
/// Short, since a store that hangs is waited for in real time.
const STORE_TIMEOUT: Duration = Duration::from_millis(60);
/// A flow's, and a parked code's from then on.
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
    /// What `on_revoked` was told.
    told: Arc<Mutex<Vec<Told>>>,
    /// How much of it was told before this step.
    told_before: usize,
    /// The dead tokens that an instance has met.
    met_dead: BTreeSet<(Process, String)>,
    /// Tokens that a callback has replaced during an outage: their rows may wait to be removed in the
    /// background.
    replaced: BTreeSet<String>,
    /// Those that two instances have replaced at the same moment.
    raced_for: BTreeSet<String>,
    /// Those whose rows no instance can open any more.
    unopenable: BTreeSet<String>,
    instances: Vec<Instance>,
    browsers: Vec<Browser>,
    /// The tokens that Webflow was ever asked about: each is, once it is issued.
    issued: BTreeSet<String>,
    /// What was stored after the step before.
    stored: BTreeMap<String, Workspace>,
    uninstalls: usize,
    /// The tokens that came by an import, and how often each was imported.
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
    /// How often it has been started: what it knows by heart ends with it.
    incarnation: usize,
}

struct Browser {
    jar: BTreeMap<String, String>,
    /// Who sits there.
    person: Owner,
    /// Whether they are signed in to the application.
    signed_in: bool,
    /// Something has happened by which rows may be left that this browser does not know of.
    has_lost_track: bool,
    flows: Vec<Flow>,
    callbacks: Vec<Callback>,
}

struct Flow {
    /// Who began it; nobody, where nobody was signed in.
    owner: Option<Owner>,
    state: String,
    authorize: String,
    cookie: String,
    /// When the time of its cookie began, and how many keys there were.
    since: SystemTime,
    keys: usize,
    parked: Option<Parked>,
    /// What it brought.
    tokens: Vec<String>,
    /// It was open in a browser that logged out and heard so: nothing comes of it any more.
    over: bool,
    /// The same where the browser did not hear so: the instance still knows.
    over_at: BTreeSet<Process>,
    /// How many of its callbacks each process has refused, at most.
    refused: BTreeMap<Process, usize>,
}

/// The code in a flow's cookie: of the browser's own callback, or made up.
#[derive(Clone, Copy)]
struct Parked {
    callback: Option<usize>,
}

struct Callback {
    flow: usize,
    code: String,
    /// Who has agreed at Webflow, and when.
    approver: Owner,
    approved: SystemTime,
    uninstalls: usize,
    /// The application may have tried its code already.
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
    /// Why it goes.
    why: Option<Why>,
    /// What was imported and must be there.
    imported: Option<String>,
    /// What goes is revoked.
    revokes: bool,
    /// Nothing may have changed.
    changes_nothing: bool,
    /// What was issued may be alive although it is not stored: logged out in the middle.
    may_lose_the_new: bool,
}

impl Effect {
    /// No code is exchanged, and nothing goes.
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

    /// Every flow ends, by itself if nobody ends it.
    pub(crate) fn end(mut self) {
        let inner = &mut self.inner;
        self.runtime.block_on(inner.end());
    }
}

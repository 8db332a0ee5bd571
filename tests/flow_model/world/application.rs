//! The application: its two instances and its store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::ExposeSecret;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{
    Clock, GrantPolicy, Keyring, Scope, Subject, WebflowAuthLayer, WebflowGrants, WebflowToken,
    config::CacheConfig,
};

use super::{
    Browser, Inner, Instance, OWNERS, Owner, Process, SIGN_IN, STORE_TIMEOUT, Told, Workspace,
};
use crate::plan::{BROWSERS, INSTANCES, Outage, Setup};
use crate::support::hostile::{
    CALLBACK, ORIGIN, OnLoad, OnRemove, OnSave, TestStore, eventually, settle,
};

pub(super) fn name(owner: Owner) -> String {
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

/// Does not report Webflow's 401.
async fn quiet(token: WebflowToken) -> &'static str {
    let answer = token.api().get("/v2/sites").send().await;
    if answer.is_ok() { "fine" } else { "failed" }
}

async fn sites(token: WebflowToken) -> Result<Response, ApiError> {
    Ok(token.api().get("/v2/sites").send().await?.text().await?.into_response())
}

impl Inner {
    pub(super) async fn new(setup: Setup) -> Self {
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
            told_before: 0,
            met_dead: BTreeSet::new(),
            replaced: BTreeSet::new(),
            raced_for: BTreeSet::new(),
            unopenable: BTreeSet::new(),
            instances: Vec::new(),
            browsers: (0..BROWSERS).map(Browser::new).collect(),
            issued: BTreeSet::new(),
            stored: BTreeMap::new(),
            uninstalls: 0,
            imports: BTreeMap::new(),
            last_import: None,
        };
        world.instances = (0..INSTANCES).map(|_| world.instance(0)).collect();
        world
    }

    /// The layer with the newest keys, this many.
    pub(super) fn layer(&self, keys: usize, cache: CacheConfig) -> WebflowAuthLayer {
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
            .application_id(self.fake.application_id())
            .on_revoked(move |gone| {
                let secret = gone.token().access_token().expose_secret().to_owned();
                let subject = gone.subject().as_str().to_owned();
                told.lock().unwrap().push(Told { subject, token: secret, why: gone.why() });
                std::future::ready(())
            })
            .store(self.store.clone());
        let builder =
            if self.setup.several { builder.grants(GrantPolicy::PerWorkspace) } else { builder };
        let builder =
            if self.setup.users { builder.subject(subject).sign_in_at(SIGN_IN) } else { builder };
        builder.build().unwrap()
    }

    fn instance(&self, incarnation: usize) -> Instance {
        let layer = self.layer(2, CacheConfig::new());
        let handle = layer.handle();
        let router = Router::new()
            .route("/whoami", get(whoami))
            .route("/sites", get(sites))
            .route("/quiet", get(quiet))
            .layer(layer);
        Instance { router, handle, incarnation }
    }

    pub(super) fn restart(&mut self, instance: usize) {
        let incarnation = self.instances[instance].incarnation + 1;
        self.instances[instance] = self.instance(incarnation);
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(super) fn process(&self, instance: usize) -> Process {
        (instance, self.instances[instance].incarnation)
    }

    pub(super) fn set_outage(&mut self, outage: Outage) {
        self.outage = outage;
        if outage == Outage::Lag {
            self.store.lag();
        }
        self.apply_outage(outage);
    }

    pub(super) fn apply_outage(&self, outage: Outage) {
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

    /// Ends the outage, and waits for the writes that hung.
    pub(super) async fn heal(&self) {
        self.apply_outage(Outage::None);
        self.store.open_gate_for_all();
        eventually("the writes end", || self.store.waiting() == 0).await;
        settle().await;
    }

    /// The owner whose grants this browser's user gives, and may get.
    pub(super) fn owner(&self, browser: usize) -> Option<Owner> {
        let browser = &self.browsers[browser];
        browser.signed_in.then_some(browser.person)
    }

    pub(super) fn workspace(&self, id: &str) -> Workspace {
        let at = self.fake.workspaces().iter().position(|it| it.id() == id);
        at.expect("a workspace of somebody's")
    }
}

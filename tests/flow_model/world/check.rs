//! The invariants: after every step, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use secrecy::ExposeSecret;
use tower_webflow_auth::{Subject, config::CacheConfig};

use super::application::name;
use super::{At, Effect, FLOW_LIFETIME, Inner, SESSION, Told, Workspace};
use crate::plan::{BROWSERS, INSTANCES, Outage};
use crate::support::hostile::CALLBACK;

impl Inner {
    /// Checks the invariants after a step.
    pub(super) async fn check(&mut self, effect: Effect) {
        self.heal().await;
        for browser in 0..BROWSERS {
            for instance in 0..INSTANCES {
                let grants = self.grants(browser, instance).await;
                for workspace in grants.iter().flat_map(|grants| grants.split(' ').skip(1)) {
                    let (granted, got) = (self.workspace(workspace) / 2, self.owner(browser));
                    assert_eq!(Some(granted), got, "browser {browser} has somebody else's grant");
                }
            }
        }
        // Later calls may concern rows that are read as stored here.
        let heard = self.told.lock().unwrap().len();
        let (stored, rows) = self.stored(self.keys.len()).await;
        let issued = self.issued_meanwhile();
        assert!(!effect.exchanges_nothing || issued.is_empty(), "a code was exchanged");
        for token in &issued {
            let kept = stored.contains_key(token) || effect.may_lose_the_new;
            if !kept {
                self.dies(token, "a token is neither stored nor revoked").await;
            }
        }
        for token in &effect.gone {
            assert!(!stored.contains_key(token), "a logged-out grant is still stored");
        }
        // Tokens superseded earlier are not revoked at Webflow.
        for token in effect.revoked.iter().filter(|token| self.stored.contains_key(*token)) {
            self.dies(token, "it was to be revoked").await;
        }
        if let Some(token) = &effect.imported {
            assert!(stored.contains_key(token), "an imported grant is missing");
        }
        if effect.changes_nothing {
            // Rows replaced earlier may be removed at any time.
            let lasting = |all: &BTreeMap<String, Workspace>| {
                let lasting = all.keys().filter(|token| !self.replaced.contains(*token));
                lasting.cloned().collect::<BTreeSet<_>>()
            };
            assert_eq!(lasting(&stored), lasting(&self.stored), "something has changed");
        }
        self.check_hook(&effect, &stored, &rows, heard);
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
            // With several grants, a new one replaces only that of the same workspace.
            let apart = effect.supersedes && self.setup.several && !renewed.contains(workspace);
            let may_go = effect.may_drop == Some(workspace / 2) && !apart && !effect.revokes;
            if !stored.contains_key(token) && !may_go && !self.replaced.contains(token) {
                self.dies(token, "a grant is gone that nobody gave up").await;
            }
        }
        self.issued.extend(issued);
        self.stored = stored;
        self.note_unopenable().await;
        self.fake.clear_log();
        self.apply_outage(self.outage);
    }

    /// `on_revoked` is called once for each removed grant, after its removal, with the right
    /// reason.
    fn check_hook(
        &mut self,
        effect: &Effect,
        stored: &BTreeMap<String, Workspace>,
        rows: &BTreeSet<(String, String)>,
        heard: usize,
    ) {
        let told = self.told.lock().unwrap();
        let (_, new) = told.split_at(self.told_before);
        if self.outage.fails_removals() || self.outage == Outage::Lag {
            // If a removal fails and the row is missing, another instance may have removed it. A
            // stale read may name a grant that was replaced earlier.
            self.raced_for.extend(new.iter().map(|it| it.token.clone()));
        }
        for it in &*told {
            let same = |other: &&Told| (&other.subject, &other.token) == (&it.subject, &it.token);
            let times = self.imports.get(&it.token).copied().unwrap_or(1);
            // Both instances replaced or removed it, and neither can know of the other.
            let times = times + usize::from(self.raced_for.contains(&it.token));
            let calls = told.iter().filter(same).count();
            assert!(calls <= times, "on_revoked was called {calls} times for one grant");
        }
        for it in &told[self.told_before..heard] {
            let is_there = rows.contains(&(it.subject.clone(), it.token.clone()));
            assert!(!is_there, "on_revoked, and it is there: {:?}", it.why);
        }
        let replaces = effect.supersedes && self.outage == Outage::None;
        let unknown = |token: &String| {
            stored.contains_key(token)
                || self.replaced.contains(token)
                || self.unopenable.contains(token)
        };
        for token in self.stored.keys().filter(|token| !unknown(token)) {
            let reported = told.iter().any(|it| it.token == *token);
            assert!(reported || !(effect.reports || replaces), "on_revoked was not called");
            for it in new.iter().filter(|it| it.token == *token) {
                assert!(effect.why.is_none_or(|why| why == it.why), "it went: {:?}", it.why);
            }
        }
        self.told_before = heard;
    }

    /// Every row belongs to a session of its browser, unless the browser has lost track.
    pub(super) fn check_sessions(&mut self, stored: &BTreeMap<String, Workspace>) {
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
        assert!(!all_known || stranded.is_none(), "a row belongs to no browser's session");
    }

    /// Waits until the token is dead at Webflow.
    pub(super) async fn dies(&self, token: &str, what: &str) {
        let died = async {
            while self.is_live(token).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let died = tokio::time::timeout(Duration::from_secs(3), died).await;
        assert!(died.is_ok(), "{what}");
    }

    /// Records the grants that are ignored, since no instance has their key anymore.
    pub(super) async fn note_unopenable(&mut self) {
        if self.keys.len() > 2 {
            let (openable, _) = self.stored(2).await;
            let unopenable = self.stored.keys().filter(|token| !openable.contains_key(*token));
            self.unopenable = unopenable.cloned().collect();
        }
    }

    /// Every stored token that the newest keys (this many) open, with its workspace and the subject
    /// of its row, bypassing caches.
    async fn stored(
        &self,
        keys: usize,
    ) -> (BTreeMap<String, Workspace>, BTreeSet<(String, String)>) {
        let handle = self.layer(keys, CacheConfig::off()).handle();
        loop {
            let rows = self.store.rows();
            let subjects: BTreeSet<_> =
                rows.iter().map(|row| row.key().subject().clone()).collect();
            let (mut stored, mut all) = (BTreeMap::new(), BTreeSet::new());
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
                    let secret = token.access_token().expose_secret().to_owned();
                    all.insert((token.subject().as_str().to_owned(), secret.clone()));
                    stored.insert(secret, workspace);
                }
            }
            // A removal that is tried again in the background may have come in between.
            if self.store.rows() == rows {
                assert!(opened == rows.len() || keys < self.keys.len(), "every row opens");
                return (stored, all);
            }
        }
    }

    /// The tokens issued in this step, each of which the application looks up immediately.
    pub(super) fn issued_meanwhile(&self) -> BTreeSet<String> {
        let looked_up = self.fake.requests_to("/v2/token/introspect");
        let bearer =
            |authorization: &str| authorization.strip_prefix("Bearer ").unwrap().to_owned();
        let tokens = looked_up.iter().map(|it| bearer(it.header("authorization").unwrap()));
        tokens.filter(|token| !self.issued.contains(token)).collect()
    }

    pub(super) async fn is_live(&self, token: &str) -> bool {
        let url = format!("{}/v2/token/introspect", self.fake.base_url());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status().is_success()
    }

    /// Checks the invariants at the end, when every flow has expired.
    pub(super) async fn end(&mut self) {
        self.set_outage(Outage::None);
        self.pass(FLOW_LIFETIME);
        let issued = self.fake.issued_tokens();
        for browser in 0..BROWSERS {
            for nth in 0..self.browsers[browser].flows.len() {
                let flow = self.flow(At { browser, nth });
                let url = self.fake.approve(&flow.authorize).unwrap();
                let claim = format!("state={}", flow.state);
                for query in [url.query().unwrap(), &claim] {
                    let target = format!("{CALLBACK}?{query}");
                    let answer = self.navigate(browser, nth % INSTANCES, &target).await;
                    let repeated = answer.location.as_deref() == Some("/");
                    let expired = answer.status == StatusCode::BAD_REQUEST;
                    assert!(expired || repeated, "{}: {}", answer.status, answer.text);
                }
            }
        }
        assert_eq!(self.fake.issued_tokens(), issued, "every flow has ended");
    }
}

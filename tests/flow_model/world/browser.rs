//! A browser's requests and cookies, and the expected results of its callbacks.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt;
use tower_webflow_auth::{WebflowToken, config::CacheConfig};

use super::application::name;
use super::{Answered, At, Browser, Callback, FLOW, FLOW_LIFETIME, Flow, Inner, Owner};
use crate::plan::{Of, Outage};
use crate::support::hostile::{CALLBACK, LOGOUT, cookies_set, headers, parameter};

impl Browser {
    pub(super) fn new(person: Owner) -> Self {
        Self {
            jar: BTreeMap::new(),
            person,
            signed_in: true,
            has_lost_track: false,
            flows: Vec::new(),
            callbacks: Vec::new(),
        }
    }
}

impl Inner {
    /// Sends a request with the browser's cookies, without updating them.
    pub(super) async fn ask(
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
        if browser.signed_in {
            request.headers_mut().insert("x-user", name(browser.person).parse().unwrap());
        }
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

    pub(super) async fn navigate(&self, browser: usize, instance: usize, target: &str) -> Answered {
        let pairs = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];
        self.ask(browser, instance, "GET", target, &pairs).await
    }

    pub(super) async fn post_logout(
        &self,
        browser: usize,
        instance: usize,
        revoke: bool,
    ) -> Answered {
        let target = format!("{LOGOUT}?revoke={revoke}");
        self.ask(browser, instance, "POST", &target, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Delivers a response to the browser: its cookies, and the flow that it may start.
    pub(super) fn receive(&mut self, browser: usize, answer: &Answered) {
        let owner = self.owner(browser);
        let (since, keys) = (self.clock.now(), self.keys.len());
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
            since,
            keys,
            parked: None,
            tokens: Vec::new(),
            over: false,
            over_at: BTreeSet::new(),
            refused: BTreeMap::new(),
        });
    }

    pub(super) fn flow_at(&self, of: Of) -> At {
        At { browser: of.browser, nth: self.browsers[of.browser].flows.len() - 1 - of.back }
    }

    pub(super) fn callback_at(&self, of: Of) -> At {
        At { browser: of.browser, nth: self.browsers[of.browser].callbacks.len() - 1 - of.back }
    }

    pub(super) fn flow(&self, of: At) -> &Flow {
        &self.browsers[of.browser].flows[of.nth]
    }

    pub(super) fn callback(&self, of: At) -> &Callback {
        &self.browsers[of.browser].callbacks[of.nth]
    }

    /// The callback's URL.
    pub(super) fn target(&self, of: At) -> String {
        let callback = self.callback(of);
        let state = &self.flow(At { nth: callback.flow, ..of }).state;
        format!("{CALLBACK}?code={}&state={state}", callback.code)
    }

    /// The callback's URL. Marks the callback as tried.
    pub(super) fn try_target(&mut self, of: At) -> String {
        self.browsers[of.browser].callbacks[of.nth].tried = true;
        self.target(of)
    }

    /// Whether this callback must succeed.
    pub(super) fn must_succeed(&self, of: At, instance: usize) -> bool {
        self.is_fresh(of) && self.is_at_hand(of, instance)
    }

    /// Whether Webflow accepts its code.
    pub(super) fn is_fresh(&self, of: At) -> bool {
        let callback = self.callback(of);
        let browser = &self.browsers[of.browser];
        let age = self.clock.now().duration_since(callback.approved).unwrap();
        // The flow may have been completed by another of its callbacks.
        let is_first = !browser.callbacks.iter().any(|it| it.flow == callback.flow && it.tried);
        is_first && callback.uninstalls == self.uninstalls && age < FLOW_LIFETIME
    }

    /// Whether the flow's grant is already stored, so that no code is needed.
    pub(super) fn must_repeat(&self, of: At, instance: usize) -> bool {
        let kept = self.callback(of).tokens.iter().any(|token| self.stored.contains_key(token));
        // With several grants, it may have been moved to another session since.
        kept && (self.setup.users || !self.setup.several) && self.is_at_hand(of, instance)
    }

    /// Whether the callback's flow is open in its browser, and there is no outage.
    pub(super) fn is_at_hand(&self, of: At, instance: usize) -> bool {
        let flow = At { nth: self.callback(of).flow, ..of };
        self.outage == Outage::None && self.may_exchange(flow, instance)
    }

    /// Whether a valid code may be exchanged for this flow in its browser's current state.
    pub(super) fn may_exchange(&self, of: At, instance: usize) -> bool {
        let flow = self.flow(of);
        self.is_open(of)
            && self.is_for(flow.owner, of.browser)
            && !self.is_over(flow, instance)
            && flow.refused.get(&self.process(instance)).is_none_or(|codes| *codes < 3)
    }

    /// Whether the browser's cookie of this flow is valid.
    pub(super) fn is_open(&self, of: At) -> bool {
        let flow = self.flow(of);
        let age = self.clock.now().duration_since(flow.since).unwrap();
        age < FLOW_LIFETIME
            && self.browsers[of.browser].jar.contains_key(&flow.cookie)
            && self.keys.len() - flow.keys < 2
    }

    /// Whether a flow that this owner started may be completed by the user who is signed in.
    pub(super) fn is_for(&self, owner: Option<Owner>, browser: usize) -> bool {
        let user = self.owner(browser);
        user.is_some() && (owner.is_none() || owner == user)
    }

    /// Whether somebody would get the grant of another user of the same browser, which cannot be
    /// distinguished from an honest callback.
    pub(super) fn mixes_up(&self, flow: At, approver: Owner) -> bool {
        let gets = self.flow(flow).owner.or_else(|| self.owner(flow.browser));
        gets.is_some_and(|gets| gets != approver)
    }

    /// The flows whose parked code this browser's user may claim.
    pub(super) fn claimable(&self, browser: usize) -> Vec<At> {
        let flows = 0..self.browsers[browser].flows.len();
        let may_claim = |of: &At| {
            let flow = self.flow(*of);
            flow.parked.is_some() && self.is_open(*of) && self.is_for(flow.owner, browser)
        };
        flows.map(|nth| At { browser, nth }).filter(may_claim).collect()
    }

    pub(super) fn is_over(&self, flow: &Flow, instance: usize) -> bool {
        flow.over || flow.over_at.contains(&self.process(instance))
    }

    pub(super) async fn is_connected(&self, browser: usize, instance: usize) -> bool {
        self.grants(browser, instance).await.is_some()
    }

    /// Makes reads of the browser's current session fail, if that is the outage.
    pub(super) async fn hide_former(&self, browser: usize, instance: usize) {
        if self.outage == Outage::Former
            && let Some(grants) = self.grants(browser, instance).await
        {
            let subject = grants.split(' ').next().unwrap();
            self.store.unreadable(Some(subject.parse().unwrap()));
        }
    }

    /// The stored grants of the browser's current session.
    pub(super) async fn workspaces_of(&self, browser: usize, instance: usize) -> BTreeSet<String> {
        if !matches!(self.outage, Outage::None | Outage::Former) {
            return BTreeSet::new();
        }
        let Some(grants) = self.grants(browser, instance).await else { return BTreeSet::new() };
        let subject = grants.split(' ').next().unwrap().parse().unwrap();
        let handle = self.layer(2, CacheConfig::off()).handle();
        let tokens = handle.tokens(&subject).await.unwrap();
        tokens.iter().flat_map(WebflowToken::workspaces).cloned().collect()
    }

    /// This browser's subject at this instance, and its workspaces.
    pub(super) async fn grants(&self, browser: usize, instance: usize) -> Option<String> {
        let answer =
            self.ask(browser, instance, "GET", "/whoami", &[("sec-fetch-mode", "cors")]).await;
        match answer.status {
            StatusCode::OK => Some(answer.text),
            StatusCode::UNAUTHORIZED => None,
            status => panic!("{status} with {:?}: {}", self.outage, answer.text),
        }
    }
}

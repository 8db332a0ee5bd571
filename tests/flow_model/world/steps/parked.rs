//! Codes that wait for somebody to sign in to the application.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use tower_webflow_auth::Why;

use super::{Parked, SIGN_IN};
use crate::plan::{By, Of, Outage};
use crate::support::hostile::CALLBACK;
use crate::world::{Answered, At, Callback, Effect, FLOW_LIFETIME, Flow, Inner};

impl Inner {
    /// A callback in a browser where nobody is signed in: the code is parked, and nothing else
    /// happens.
    pub(super) async fn arrive_signed_out(
        &mut self,
        callback: At,
        instance: usize,
        lost: bool,
    ) -> Effect {
        let browser = callback.browser;
        let flow = At { browser, nth: self.callback(callback).flow };
        let parks = self.is_open(flow);
        let saves = self.store.saves.load(Ordering::SeqCst);
        let answer = self.navigate(browser, instance, &self.target(callback)).await;
        assert_eq!(self.store.saves.load(Ordering::SeqCst), saves, "something was stored");
        self.assert_parks(flow, parks, &answer);
        if !lost {
            self.receive(browser, &answer);
            self.note_parked(flow, Some(callback.nth), &answer);
        }
        Effect { changes_nothing: true, ..Effect::nothing() }
    }

    fn assert_parks(&self, flow: At, parks: bool, answer: &Answered) {
        if parks {
            let next = CALLBACK.replace('/', "%2F");
            let state = &self.flow(flow).state;
            let expected = format!("{SIGN_IN}?next={next}%3Fstate%3D{state}");
            assert_eq!(answer.location.as_ref(), Some(&expected), "{}", answer.text);
        } else {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        }
        for path in ["/oauth/access_token", "/v2/token/introspect"] {
            assert!(self.fake.requests_to(path).is_empty(), "Webflow was called");
        }
    }

    /// Records the code that a response put into the flow's cookie.
    pub(super) fn note_parked(&mut self, flow: At, callback: Option<usize>, answer: &Answered) {
        let (since, keys) = (self.clock.now(), self.keys.len());
        let flow = &mut self.browsers[flow.browser].flows[flow.nth];
        if answer.sets.iter().any(|(name, value)| *name == flow.cookie && !value.is_empty()) {
            (flow.parked, flow.since, flow.keys) = (Some(Parked { callback }), since, keys);
        }
    }

    /// A flow of the browser with a parked code, otherwise its newest flow.
    fn to_claim(&self, of: Of) -> Option<At> {
        let Of { browser, back } = of;
        let flows = &self.browsers[browser].flows;
        let jar = &self.browsers[browser].jar;
        let parked =
            |nth: &usize| flows[*nth].parked.is_some() && jar.contains_key(&flows[*nth].cookie);
        let parked: Vec<_> = (0..flows.len()).rev().filter(parked).collect();
        let nth = parked.get(back % parked.len().max(1)).copied();
        nth.or(flows.len().checked_sub(1)).map(|nth| At { browser, nth })
    }

    /// The callback whose code is parked in a flow, unless the code was invented.
    fn parked_callback(&self, flow: At) -> Option<At> {
        let nth = self.flow(flow).parked?.callback?;
        Some(At { nth, ..flow })
    }

    fn is_mixed_up(&self, flow: At) -> bool {
        let callback = self.parked_callback(flow);
        callback.is_some_and(|it| self.mixes_up(flow, self.callback(it).approver))
    }

    /// Whether this claim must succeed.
    fn claim_must_succeed(&self, flow: At, instance: usize) -> bool {
        self.outage == Outage::None
            && self.may_exchange(flow, instance)
            && self.parked_callback(flow).is_some_and(|callback| {
                let Callback { tried, uninstalls, approved, .. } = *self.callback(callback);
                let age = self.clock.now().duration_since(approved).unwrap();
                !tried && uninstalls == self.uninstalls && age < FLOW_LIFETIME
            })
    }

    /// Whether the parked code has already led to a grant, in a response that was lost.
    fn claim_must_repeat(&self, flow: At, instance: usize) -> bool {
        self.outage == Outage::None
            && self.may_exchange(flow, instance)
            && self.parked_callback(flow).is_some_and(|callback| {
                // An injected code may be parked in several flows, of which one has the grant.
                let flows = &self.browsers[flow.browser].flows;
                let holds = |it: &&Flow| {
                    it.parked.is_some_and(|parked| parked.callback == Some(callback.nth))
                };
                let is_only = flows.iter().filter(holds).count() == 1;
                let callback = self.callback(callback);
                let kept = callback.tokens.iter().any(|token| self.stored.contains_key(token));
                callback.flow == flow.nth && kept && is_only
            })
    }

    fn note_tried(&mut self, flow: At) {
        if let Some(of) = self.parked_callback(flow) {
            self.browsers[of.browser].callbacks[of.nth].tried = true;
        }
    }

    fn claim_target(&self, flow: At) -> String {
        format!("{CALLBACK}?state={}", self.flow(flow).state)
    }

    pub(super) async fn claim(
        &mut self,
        browser: usize,
        of: Of,
        instance: usize,
        by: By,
    ) -> Effect {
        let Some(flow) = self.to_claim(of) else { return Effect::nothing() };
        let target = self.claim_target(flow);
        if flow.browser != browser {
            let answer = self.navigate(browser, instance, &target).await;
            assert!(answer.is_refused(), "{}: another browser's", answer.status);
            return Effect { changes_nothing: true, ..Effect::nothing() };
        }
        if by == By::Script {
            let pairs = [("sec-fetch-mode", "cors"), ("accept", "text/html")];
            let answer = self.ask(browser, instance, "GET", &target, &pairs).await;
            assert!(answer.sets_nothing(), "a script claims");
            return Effect { changes_nothing: true, ..Effect::nothing() };
        }
        if self.owner(browser).is_none() {
            let parks = self.is_open(flow) && self.flow(flow).parked.is_some();
            let answer = self.navigate(browser, instance, &target).await;
            self.assert_parks(flow, parks, &answer);
            assert!(answer.sets_nothing(), "the cookie is not set again");
            return Effect { changes_nothing: true, ..Effect::nothing() };
        }
        if self.is_mixed_up(flow) {
            return Effect::nothing();
        }
        let may_exchange = self.may_exchange(flow, instance) && self.flow(flow).parked.is_some();
        let must_succeed = self.claim_must_succeed(flow, instance);
        let must_repeat = self.claim_must_repeat(flow, instance);
        if may_exchange {
            self.note_tried(flow);
        }
        let answer = self.navigate(browser, instance, &target).await;
        let exchanges = self.fake.requests_to("/oauth/access_token").len();
        assert!(exchanges <= usize::from(may_exchange && !must_repeat), "{exchanges} exchanges");
        if must_succeed || must_repeat {
            Self::assert_landed(&answer);
        } else if !may_exchange {
            assert!(answer.is_done() || answer.is_refused(), "{}", answer.status);
        }
        self.note_refusal(flow, instance, &answer);
        if by != By::LostNavigation {
            self.receive(browser, &answer);
            if must_succeed {
                self.assert_connected(browser).await;
            }
            let offered = self.claimable(browser).iter().any(|it| it.nth == flow.nth);
            let may_stay = !may_exchange || self.outage != Outage::None;
            assert!(may_stay || !offered, "{}: it is offered again", answer.status);
        }
        self.claimed(flow, !may_exchange)
    }

    fn assert_landed(answer: &Answered) {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let away = [SIGN_IN, CALLBACK].iter().any(|path| answer.leads_to(path));
        assert!(!away && answer.location.as_ref().unwrap().starts_with('/'));
    }

    fn claimed(&self, flow: At, exchanges_nothing: bool) -> Effect {
        Effect {
            may_drop: self.owner(flow.browser),
            supersedes: true,
            why: Some(Why::Replaced),
            exchanges_nothing,
            callback: self.parked_callback(flow),
            ..Effect::default()
        }
    }

    /// A double click on the link back from the sign-in page, or a reload at another instance.
    pub(super) async fn claim_twice(&mut self, browser: usize, instances: [usize; 2]) -> Effect {
        let Some(flow) = self.to_claim(Of { browser, back: 0 }) else { return Effect::nothing() };
        if self.is_mixed_up(flow) || self.flow(flow).parked.is_none() {
            return Effect::nothing();
        }
        let may_exchange = instances.iter().any(|it| self.may_exchange(flow, *it));
        // An instance that has refused a code does not wait for another one to store the grant.
        let must_succeed = self.flow(flow).refused.is_empty()
            && instances.iter().all(|it| self.claim_must_succeed(flow, *it));
        if may_exchange {
            self.note_tried(flow);
        }
        let issued = self.fake.issued_tokens();
        let target = self.claim_target(flow);
        let [one, other] = instances.map(|instance| self.navigate(browser, instance, &target));
        let answers = tokio::join!(one, other);
        let issued = self.fake.issued_tokens() - issued;
        assert!(issued <= usize::from(may_exchange), "{issued} exchanges of one code");
        for (answer, instance) in [(&answers.0, instances[0]), (&answers.1, instances[1])] {
            if must_succeed {
                Self::assert_landed(answer);
            }
            self.note_refusal(flow, instance, answer);
            self.receive(browser, answer);
        }
        if must_succeed {
            self.assert_connected(browser).await;
        }
        self.claimed(flow, !may_exchange)
    }
}

//! What each step does, and the responses it must get.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use tower_webflow_auth::testing::Access;
use tower_webflow_auth::{Keyring, Why};

use super::{Answered, At, Callback, Effect, Inner, Parked, SIGN_IN};
use crate::plan::{BROWSERS, INSTANCES, Outage, Step};
use crate::support::hostile::{CALLBACK, LOGIN, parameter};

mod callback;
mod grants;
mod logout;
mod parked;

impl Inner {
    #[expect(clippy::too_many_lines, reason = "one arm for each step")]
    pub(in crate::world) async fn take(&mut self, step: Step) -> Effect {
        match step {
            Step::Begin { browser, instance } => {
                self.begin(browser, instance).await;
                Effect::nothing()
            }
            Step::Connect { browser, instance, workspace, lost } => {
                let callback = self.connect(browser, instance, workspace).await;
                self.arrive(callback, instance, lost, 0).await
            }
            Step::Approve { flow, workspace } => {
                self.approve(self.flow_at(flow), workspace);
                Effect::nothing()
            }
            Step::Deny { flow, instance } => {
                let url = self.fake.deny(&self.flow(self.flow_at(flow)).authorize).unwrap();
                let target = format!("{CALLBACK}?{}", url.query().unwrap());
                let answer = self.navigate(flow.browser, instance, &target).await;
                assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.text);
                self.receive(flow.browser, &answer);
                Effect::nothing()
            }
            Step::Arrive { callback, instance, lost, hang_up } => {
                self.arrive(self.callback_at(callback), instance, lost, hang_up).await
            }
            Step::Tabs { browser, instances, workspaces } => {
                self.tabs(browser, instances, workspaces).await
            }
            Step::Junk { flow, instance, codes } => {
                self.junk(self.flow_at(flow), instance, codes).await;
                Effect::nothing()
            }
            Step::ArriveTwice { callback, instances } => {
                self.arrive_twice(self.callback_at(callback), instances).await
            }
            Step::Inject { browser, code, state, instance, lost } => {
                self.inject(browser, self.callback_at(code), state, instance, lost).await
            }
            Step::Logout { browser, instance, revoke, lost, hang_up } => {
                if hang_up > 0 {
                    self.gone_after(hang_up, self.post_logout(browser, instance, revoke)).await;
                }
                self.log_out(browser, instance, revoke, lost).await
            }
            Step::FailedLogout { browser, instance, revoke, outage } => {
                self.set_outage(outage);
                let effect = self.log_out(browser, instance, revoke, false).await;
                self.heal().await;
                self.set_outage(Outage::None);
                effect
            }
            Step::LogoutMeanwhile { browser, instance, revoke, late } => {
                self.browsers[browser].signed_in = true;
                let callback = self.connect(browser, instance, 0).await;
                self.log_out_meanwhile(callback, instance, revoke, late).await
            }
            Step::Visit { browser, instance, quiet } => {
                self.visit(browser, instance, quiet).await;
                Effect { reports: true, why: Some(Why::Dead), ..Effect::nothing() }
            }
            Step::SwitchUser => {
                let person = &mut self.browsers[0].person;
                *person = if *person == 0 { BROWSERS } else { 0 };
                Effect::nothing()
            }
            Step::Sign { browser, into } => {
                self.browsers[browser].signed_in = into;
                Effect::nothing()
            }
            Step::Park { browser, instance, begun, lost } => {
                self.browsers[browser].signed_in = begun;
                let callback = self.connect(browser, instance, 0).await;
                self.browsers[browser].signed_in = false;
                self.arrive(callback, instance, lost, 0).await
            }
            Step::Claim { browser, of, instance, signs_in, by } => {
                self.browsers[browser].signed_in |= signs_in;
                self.claim(browser, of, instance, by).await
            }
            Step::ClaimTwice { browser, instances } => {
                self.browsers[browser].signed_in = true;
                self.claim_twice(browser, instances).await
            }
            Step::Import { instance, again } => self.import(instance, again).await,
            Step::Revoke { browser, instance } => self.revoke(browser, instance).await,
            Step::Reseal { instance, rolls } => {
                self.roll_key(rolls).await;
                self.reseal(instance).await
            }
            Step::ResealMeanwhile { browser, instances, rolls, leaves } => {
                self.roll_key(rolls).await;
                self.reseal_meanwhile(browser, instances, leaves).await
            }
            Step::Pass { secs } => {
                self.pass(Duration::from_secs(secs));
                Effect::nothing()
            }
            Step::Store(outage) => {
                self.set_outage(outage);
                Effect::nothing()
            }
            Step::RollKey => {
                self.roll_key(true).await;
                Effect::nothing()
            }
            Step::Restart { instance } => {
                self.restart(instance);
                Effect::nothing()
            }
            Step::Uninstall => {
                self.fake.revoke_everything();
                self.uninstalls += 1;
                Effect::nothing()
            }
        }
    }

    async fn begin(&mut self, browser: usize, instance: usize) {
        let answer = self.navigate(browser, instance, LOGIN).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        self.receive(browser, &answer);
    }

    /// Starts a flow and accepts at Webflow. Returns its callback, not yet visited.
    async fn connect(&mut self, browser: usize, instance: usize, workspace: usize) -> At {
        self.begin(browser, instance).await;
        let flow = At { browser, nth: self.browsers[browser].flows.len() - 1 };
        self.approve(flow, workspace);
        At { browser, nth: self.browsers[browser].callbacks.len() - 1 }
    }

    async fn roll_key(&mut self, rolls: bool) {
        if rolls {
            self.browsers.iter_mut().for_each(|browser| browser.has_lost_track = true);
            self.keys.insert(0, Keyring::generate_base64());
            (0..INSTANCES).for_each(|instance| self.restart(instance));
            self.apply_outage(Outage::None);
            self.note_unopenable().await;
            self.apply_outage(self.outage);
        }
    }

    fn approve(&mut self, flow: At, workspace: usize) {
        let approver = self.flow(flow).owner.unwrap_or(self.browsers[flow.browser].person);
        let authorize = &self.flow(flow).authorize;
        let workspace = self.fake.workspaces()[approver * 2 + workspace].id().to_owned();
        let url = self.fake.approve_with(authorize, Access::Workspace(workspace)).unwrap();
        let callback = Callback {
            flow: flow.nth,
            code: parameter(url.as_str(), "code"),
            approver,
            approved: self.clock.now(),
            uninstalls: self.uninstalls,
            tried: false,
            tokens: Vec::new(),
        };
        self.browsers[flow.browser].callbacks.push(callback);
    }

    /// Sends a request, and drops it after that many polls.
    async fn gone_after(&self, polls: usize, request: impl Future<Output = Answered>) {
        let mut request = std::pin::pin!(request);
        for _ in 0..polls {
            if futures::poll!(request.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Records that rows may exist that the browser does not know of.
    fn note_callback(&mut self, browser: usize, orderly: bool) {
        self.browsers[browser].has_lost_track |= !orderly || self.outage != Outage::None;
    }

    fn note_refusal(&mut self, flow: At, instance: usize, answer: &Answered) {
        if answer.status == StatusCode::BAD_REQUEST {
            let process = self.process(instance);
            let flow = &mut self.browsers[flow.browser].flows[flow.nth];
            *flow.refused.entry(process).or_default() += 1;
        }
    }

    async fn junk(&mut self, flow: At, instance: usize, codes: usize) {
        let loads = self.store.loads.load(Ordering::SeqCst);
        for code in 0..codes {
            let target = format!("{CALLBACK}?code=junk{code}&state={}", self.flow(flow).state);
            let parks = self.owner(flow.browser).is_none() && self.is_open(flow);
            let answer = self.navigate(flow.browser, instance, &target).await;
            assert_eq!(answer.leads_to(SIGN_IN), parks, "{}: {}", answer.status, answer.text);
            assert!(
                parks || answer.status.is_client_error() || answer.status.is_server_error(),
                "{}",
                answer.status
            );
            self.note_refusal(flow, instance, &answer);
            self.receive(flow.browser, &answer);
            self.note_parked(flow, None, &answer);
        }
        let exchanges = self.fake.requests_to("/oauth/access_token").len();
        assert!(exchanges <= 3, "{exchanges} codes of one flow were tried");
        let loads = self.store.loads.load(Ordering::SeqCst) - loads;
        assert!(loads <= 10 + codes, "{loads} reads for junk codes");
    }

    async fn visit(&mut self, browser: usize, instance: usize, quiet: bool) {
        let path = if quiet { "/quiet" } else { "/sites" };
        let claimable = self.claimable(browser);
        let answer = self.navigate(browser, instance, path).await;
        if self.owner(browser).is_none() {
            assert!(answer.leads_to(SIGN_IN), "{}: {}", answer.status, answer.text);
        }
        if answer.leads_to(CALLBACK) {
            let state = parameter(answer.location.as_ref().unwrap(), "state");
            let leads = claimable.iter().any(|of| self.flow(*of).state == state);
            assert!(leads, "a page leads to a code that cannot be claimed");
        }
        let leads_away = answer.location.as_ref().is_some_and(|it| it.contains("/oauth/authorize"));
        assert!(!leads_away || claimable.is_empty(), "a code that is parked is passed over");
        self.receive(browser, &answer);
        let process = self.process(instance);
        for request in self.fake.requests_to("/v2/sites") {
            let authorization = request.header("authorization").unwrap();
            let token = authorization.strip_prefix("Bearer ").unwrap().to_owned();
            if !self.is_live(&token).await {
                let first = self.met_dead.insert((process, token));
                assert!(first, "a token is used that the instance knows to be dead");
            }
        }
    }
}

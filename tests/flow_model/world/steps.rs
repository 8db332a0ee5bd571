//! What each step does, and what its answers must be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use tower_webflow_auth::Keyring;
use tower_webflow_auth::testing::Access;

use super::{Answered, At, Callback, Effect, FLOW, Flow, Inner, SESSION};
use crate::plan::{BROWSERS, INSTANCES, Outage, State, Step};
use crate::support::hostile::{CALLBACK, LOGIN, OnSave, eventually, parameter, settle};

impl Inner {
    pub(super) async fn take(&mut self, step: Step) -> Effect {
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
                self.arrive(At { browser, nth }, instance, lost, 0).await
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
            Step::Arrive { callback, instance, lost, hang_up } => {
                self.arrive(self.callback_at(callback), instance, lost, hang_up).await
            }
            Step::Tabs { browser, instances, workspaces } => {
                self.tabs(browser, instances, workspaces).await
            }
            Step::Junk { flow, instance, codes } => {
                self.junk(self.flow_at(flow), instance, codes).await;
                nothing()
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
                self.begin(browser, instance).await;
                let flow = At { browser, nth: self.browsers[browser].flows.len() - 1 };
                self.approve(flow, 0);
                let nth = self.browsers[browser].callbacks.len() - 1;
                self.log_out_meanwhile(At { browser, nth }, instance, revoke, late).await
            }
            Step::Visit { browser, instance, quiet } => {
                self.visit(browser, instance, quiet).await;
                Effect { reports: true, ..nothing() }
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
                self.browsers.iter_mut().for_each(|browser| browser.has_lost_track = true);
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
            tokens: Vec::new(),
        };
        self.browsers[flow.browser].callbacks.push(callback);
    }

    /// Makes a request and drops it after so many polls.
    async fn gone_after(&self, polls: usize, request: impl Future<Output = Answered>) {
        let mut request = std::pin::pin!(request);
        for _ in 0..polls {
            if futures::poll!(request.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Notes what may leave rows behind of which the browser does not know.
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

    async fn arrive(
        &mut self,
        callback: At,
        instance: usize,
        lost: bool,
        hang_up: usize,
    ) -> Effect {
        self.note_callback(callback.browser, !lost);
        let browser = callback.browser;
        let must_succeed = self.must_succeed(callback, instance);
        let over =
            self.is_over(self.flow(At { browser, nth: self.callback(callback).flow }), instance);
        let must_repeat = self.must_repeat(callback, instance);
        let before = self.workspaces_of(browser, instance).await;
        self.hide_former(browser, instance).await;
        let target = self.target(callback);
        if hang_up > 0 {
            self.gone_after(hang_up, self.navigate(browser, instance, &target)).await;
        }
        let answer = self.navigate(browser, instance, &target).await;
        if must_repeat {
            let exchanges = self.fake.requests_to("/oauth/access_token").len();
            assert_eq!(exchanges, 0, "the grant was there");
        }
        if must_succeed || must_repeat {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        }
        let flow = At { browser, nth: self.callback(callback).flow };
        self.note_refusal(flow, instance, &answer);
        if over {
            // Another instance may have completed it, of which this one's logout could not know.
            let logs_in =
                answer.sets.iter().any(|(name, value)| name == SESSION && !value.is_empty());
            assert!(!logs_in, "the flow had ended: {}", answer.status);
        }
        if !lost {
            self.receive(browser, &answer);
            if must_succeed {
                self.assert_connected(browser).await;
            }
            // A callback that is repeated brings the browser back to the session that it made then.
            let new = !self.issued_meanwhile().is_empty();
            if new && self.setup.several && answer.sets.iter().any(|(name, _)| name == SESSION) {
                let after = self.grants(browser, instance).await.unwrap_or_default();
                let lacks = before.iter().find(|workspace| !after.contains(workspace.as_str()));
                assert_eq!(lacks, None, "the former session's grants come along");
            }
        }
        Effect {
            may_drop: Some(self.owner(browser)),
            supersedes: true,
            exchanges_nothing: over,
            callback: Some(callback),
            ..Effect::default()
        }
    }

    /// At every instance, whatever it read before.
    async fn assert_connected(&self, browser: usize) {
        for instance in 0..INSTANCES {
            assert!(self.is_connected(browser, instance).await, "just now, at {instance}");
        }
    }

    async fn tabs(
        &mut self,
        browser: usize,
        instances: [usize; 2],
        workspaces: [usize; 2],
    ) -> Effect {
        let mut callbacks = Vec::new();
        for tab in 0..2 {
            self.begin(browser, instances[tab]).await;
            let flow = At { browser, nth: self.browsers[browser].flows.len() - 1 };
            self.approve(flow, workspaces[tab]);
            callbacks.push(At { browser, nth: self.browsers[browser].callbacks.len() - 1 });
        }
        let together = instances[0] == instances[1];
        self.note_callback(browser, together);
        let must_succeed = (0..2).all(|tab| self.must_succeed(callbacks[tab], instances[tab]));
        let targets = [self.target(callbacks[0]), self.target(callbacks[1])];
        let answers = tokio::join!(
            self.navigate(browser, instances[0], &targets[0]),
            self.navigate(browser, instances[1], &targets[1]),
        );
        for answer in [&answers.0, &answers.1] {
            if must_succeed {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
            }
            self.receive(browser, answer);
        }
        if must_succeed {
            self.assert_connected(browser).await;
        }
        if must_succeed && self.setup.several && (together || self.setup.users) {
            let grants = self.grants(browser, instances[0]).await.unwrap();
            for workspace in workspaces {
                let workspaces = self.fake.workspaces();
                let id = workspaces[self.owner(browser) * 2 + workspace].id();
                assert!(grants.split(' ').any(|it| it == id), "a tab's grant is missing: {grants}");
            }
        }
        // One of them takes the other's place.
        let one = !self.setup.several || workspaces[0] == workspaces[1];
        Effect {
            may_drop: Some(self.owner(browser)),
            supersedes: true,
            may_lose_the_new: one,
            ..Effect::default()
        }
    }

    async fn junk(&mut self, flow: At, instance: usize, codes: usize) {
        let loads = self.store.loads.load(Ordering::SeqCst);
        for code in 0..codes {
            let target = format!("{CALLBACK}?code=junk{code}&state={}", self.flow(flow).state);
            let answer = self.navigate(flow.browser, instance, &target).await;
            assert!(
                answer.status.is_client_error() || answer.status.is_server_error(),
                "{}",
                answer.status
            );
            self.note_refusal(flow, instance, &answer);
            self.receive(flow.browser, &answer);
        }
        let exchanges = self.fake.requests_to("/oauth/access_token").len();
        assert!(exchanges <= 3, "{exchanges} codes of one flow were tried");
        let loads = self.store.loads.load(Ordering::SeqCst) - loads;
        assert!(loads <= 10 + codes, "{loads} reads for junk codes");
    }

    async fn visit(&mut self, browser: usize, instance: usize, quiet: bool) {
        let path = if quiet { "/quiet" } else { "/sites" };
        let answer = self.navigate(browser, instance, path).await;
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

    async fn log_out(
        &mut self,
        browser: usize,
        instance: usize,
        revoke: bool,
        lost: bool,
    ) -> Effect {
        let answer = self.post_logout(browser, instance, revoke).await;
        let mut gone = self.logged_out(browser, instance, lost, &answer);
        // A grant that the replica does not have yet is not found.
        let lags = self.outage == Outage::Lag;
        if lags {
            gone.clear();
        }
        self.browsers[browser].has_lost_track |= lost || lags;
        if answer.is_done() && !lost {
            assert!(!self.is_connected(browser, instance).await, "it has logged out");
        }
        Effect {
            may_drop: Some(self.owner(browser)),
            exchanges_nothing: true,
            revoked: if revoke { gone.clone() } else { Vec::new() },
            gone,
            reports: true,
            revokes: revoke,
            changes_nothing: self.outage == Outage::Removals && !answer.is_done(),
            ..Effect::default()
        }
    }

    async fn arrive_twice(&mut self, callback: At, instances: [usize; 2]) -> Effect {
        let browser = callback.browser;
        self.note_callback(browser, instances[0] == instances[1]);
        let must_succeed = instances.iter().all(|it| self.must_succeed(callback, *it));
        let issued = self.fake.issued_tokens();
        let target = self.target(callback);
        let [one, other] = instances.map(|instance| self.navigate(browser, instance, &target));
        let answers = tokio::join!(one, other);
        let flow = At { browser, nth: self.callback(callback).flow };
        self.note_refusal(flow, instances[0], &answers.0);
        self.note_refusal(flow, instances[1], &answers.1);
        for answer in [&answers.0, &answers.1] {
            if must_succeed {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
            }
            self.receive(browser, answer);
        }
        let issued = self.fake.issued_tokens() - issued;
        assert!(issued <= 1, "{issued} exchanges of one code");
        if must_succeed {
            self.assert_connected(browser).await;
        }
        Effect {
            may_drop: Some(self.owner(browser)),
            supersedes: true,
            callback: Some(callback),
            ..Effect::default()
        }
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
        let code = self.callback(code).code.clone();
        let state_of = match state {
            State::None => String::new(),
            State::MadeUp => "&state=bm90IG9uZSBvZiBvdXJz".to_owned(),
            State::Of(flow) => format!("&state={}", self.flow(self.flow_at(flow)).state),
        };
        let target = format!("{CALLBACK}?code={code}{state_of}");
        self.note_callback(browser, !lost);
        let answer = self.navigate(browser, instance, &target).await;
        if let (true, State::Of(flow)) = (own, state) {
            self.note_refusal(self.flow_at(flow), instance, &answer);
        }
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
        self.note_callback(browser, false);
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
}

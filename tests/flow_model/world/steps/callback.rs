//! Callbacks: one, two at once, and those of an attacker.

use axum::http::StatusCode;
use tower_webflow_auth::Why;

use crate::plan::{INSTANCES, State};
use crate::support::hostile::CALLBACK;
use crate::world::{At, Effect, Inner, SESSION};

impl Inner {
    pub(super) async fn arrive(
        &mut self,
        callback: At,
        instance: usize,
        lost: bool,
        hang_up: usize,
    ) -> Effect {
        let browser = callback.browser;
        let flow = At { browser, nth: self.callback(callback).flow };
        if self.owner(browser).is_none() {
            return self.arrive_signed_out(callback, instance, lost).await;
        }
        if self.mixes_up(flow, self.callback(callback).approver) {
            return Effect::nothing();
        }
        self.note_callback(browser, !lost);
        let must_succeed = self.must_succeed(callback, instance);
        let over = self.is_over(self.flow(flow), instance);
        let must_repeat = self.must_repeat(callback, instance);
        let before = self.workspaces_of(browser, instance).await;
        self.hide_former(browser, instance).await;
        let target = self.try_target(callback);
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
        self.note_refusal(flow, instance, &answer);
        if over {
            // Another instance may have completed it, unknown to this one's logout.
            let logs_in =
                answer.sets.iter().any(|(name, value)| name == SESSION && !value.is_empty());
            assert!(!logs_in, "the flow had ended: {}", answer.status);
        }
        if !lost {
            self.receive(browser, &answer);
            if must_succeed {
                self.assert_connected(browser).await;
            }
            // A repeated callback returns the browser to the session that it created.
            let new = !self.issued_meanwhile().is_empty();
            if new && self.setup.several && answer.sets.iter().any(|(name, _)| name == SESSION) {
                let after = self.grants(browser, instance).await.unwrap_or_default();
                let lacks = before.iter().find(|workspace| !after.contains(workspace.as_str()));
                assert_eq!(lacks, None, "the former session's grants come along");
            }
        }
        Effect {
            may_drop: self.owner(browser),
            supersedes: true,
            why: Some(Why::Replaced),
            exchanges_nothing: over,
            callback: Some(callback),
            ..Effect::default()
        }
    }

    /// Checks every instance, whatever it has cached.
    pub(super) async fn assert_connected(&self, browser: usize) {
        for instance in 0..INSTANCES {
            assert!(self.is_connected(browser, instance).await, "just now, at {instance}");
        }
    }

    pub(super) async fn tabs(
        &mut self,
        browser: usize,
        instances: [usize; 2],
        workspaces: [usize; 2],
    ) -> Effect {
        self.browsers[browser].signed_in = true;
        let mut callbacks = Vec::new();
        for tab in 0..2 {
            callbacks.push(self.connect(browser, instances[tab], workspaces[tab]).await);
        }
        let together = instances[0] == instances[1];
        if !together {
            let owner = self.owner(browser);
            let present =
                self.stored.iter().filter(|(_, workspace)| Some(**workspace / 2) == owner);
            self.raced_for.extend(present.map(|(token, _)| token.clone()));
        }
        self.note_callback(browser, together);
        let must_succeed = (0..2).all(|tab| self.must_succeed(callbacks[tab], instances[tab]));
        let targets = [self.try_target(callbacks[0]), self.try_target(callbacks[1])];
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
                let id = workspaces[self.browsers[browser].person * 2 + workspace].id();
                assert!(grants.split(' ').any(|it| it == id), "a tab's grant is missing: {grants}");
            }
        }
        // One of them replaces the other.
        let one = !self.setup.several || workspaces[0] == workspaces[1];
        Effect {
            may_drop: self.owner(browser),
            supersedes: true,
            why: Some(Why::Replaced),
            may_lose_the_new: one,
            ..Effect::default()
        }
    }

    pub(super) async fn arrive_twice(&mut self, callback: At, instances: [usize; 2]) -> Effect {
        let browser = callback.browser;
        let flow = At { browser, nth: self.callback(callback).flow };
        if self.owner(browser).is_none() {
            self.arrive_signed_out(callback, instances[0], false).await;
            return self.arrive_signed_out(callback, instances[1], false).await;
        }
        if self.mixes_up(flow, self.callback(callback).approver) {
            return Effect::nothing();
        }
        self.note_callback(browser, instances[0] == instances[1]);
        let must_succeed = instances.iter().all(|it| self.must_succeed(callback, *it));
        let issued = self.fake.issued_tokens();
        let target = self.try_target(callback);
        let [one, other] = instances.map(|instance| self.navigate(browser, instance, &target));
        let answers = tokio::join!(one, other);
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
            may_drop: self.owner(browser),
            supersedes: true,
            why: Some(Why::Replaced),
            callback: Some(callback),
            ..Effect::default()
        }
    }

    pub(super) async fn inject(
        &mut self,
        browser: usize,
        code: At,
        state: State,
        instance: usize,
        lost: bool,
    ) -> Effect {
        let own =
            code.browser == browser && matches!(state, State::Of(flow) if flow.browser == browser);
        let flow = match state {
            State::Of(flow) => Some(self.flow_at(flow)),
            State::None | State::MadeUp => None,
        };
        let flow = flow.filter(|_| own);
        let nth = code.nth;
        if flow.is_some_and(|flow| self.mixes_up(flow, self.callback(code).approver)) {
            return Effect::nothing();
        }
        let signed_in = self.owner(browser).is_some();
        self.browsers[code.browser].callbacks[code.nth].tried |= own && signed_in;
        let code = self.callback(code).code.clone();
        let state_of = match state {
            State::None => String::new(),
            State::MadeUp => "&state=bm90IG9uZSBvZiBvdXJz".to_owned(),
            State::Of(flow) => format!("&state={}", self.flow(self.flow_at(flow)).state),
        };
        let target = format!("{CALLBACK}?code={code}{state_of}");
        self.note_callback(browser, !lost);
        let answer = self.navigate(browser, instance, &target).await;
        if let Some(flow) = flow {
            self.note_refusal(flow, instance, &answer);
        }
        if !lost {
            self.receive(browser, &answer);
            if let Some(flow) = flow {
                self.note_parked(flow, Some(nth), &answer);
            }
        }
        if own && signed_in {
            Effect {
                may_drop: self.owner(browser),
                supersedes: true,
                why: Some(Why::Replaced),
                ..Effect::default()
            }
        } else {
            Effect::nothing()
        }
    }
}

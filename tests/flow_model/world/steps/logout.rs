//! Logouts.

use std::sync::atomic::Ordering;

use tower_webflow_auth::Why;

use crate::plan::Outage;
use crate::support::hostile::{OnSave, eventually, settle};
use crate::world::{Answered, At, Effect, FLOW, Inner, SESSION};

impl Inner {
    pub(super) async fn log_out(
        &mut self,
        browser: usize,
        instance: usize,
        revoke: bool,
        lost: bool,
    ) -> Effect {
        let answer = self.post_logout(browser, instance, revoke).await;
        let mut gone = self.logged_out(browser, instance, lost, &answer);
        // A grant that the lagging replica does not have yet is not found.
        let lags = self.outage == Outage::Lag;
        if lags {
            gone.clear();
        }
        self.browsers[browser].has_lost_track |= lost || lags;
        if answer.is_done() && !lost {
            assert!(!self.is_connected(browser, instance).await, "it has logged out");
        }
        Effect {
            may_drop: self.owner(browser),
            exchanges_nothing: true,
            revoked: if revoke { gone.clone() } else { Vec::new() },
            gone,
            reports: true,
            why: Some(Why::SignedOut),
            revokes: revoke,
            changes_nothing: self.outage == Outage::Removals && !answer.is_done(),
            ..Effect::default()
        }
    }

    /// The browser's open flows cannot complete anymore, and their grants are removed, even those
    /// that the browser never heard of.
    pub(super) fn logged_out(
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
        let (newest, users) = (self.keys.len(), self.setup.users);
        if users {
            let all = self.stored.iter().filter(|(_, workspace)| Some(**workspace / 2) == owner);
            let all = all.map(|(token, _)| token.clone());
            gone.extend(all.filter(|token| !self.unopenable.contains(token)));
        }
        let browser = &mut self.browsers[browser];
        for flow in &mut browser.flows {
            let open = browser.jar.contains_key(&flow.cookie);
            flow.over |= open && !lost;
            // Flows whose cookie no longer opens can be neither ended nor completed.
            if open && newest - flow.keys < 2 {
                flow.over_at.insert(known);
                if !users {
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

    pub(super) async fn log_out_meanwhile(
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
        let target = self.try_target(callback);
        let answered = std::cell::Cell::new(false);
        let arrives = async {
            let answer = self.navigate(browser, instance, &target).await;
            answered.set(true);
            answer
        };
        let leaves = async {
            // Until the grant is about to be written, or the callback has failed.
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
            // The browser got its current cookies after it sent the logout.
            self.logged_out(browser, instance, true, &logout);
            self.receive(browser, &logout);
        }
        assert!(!self.is_connected(browser, instance).await, "it has logged out");
        Effect { may_drop: self.owner(browser), may_lose_the_new: !revoke, ..Effect::default() }
    }
}

//! The application's work on stored grants: imports, revocations, key rotations.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use tower_webflow_auth::handle::ResealError;
use tower_webflow_auth::store::TokenKey;
use tower_webflow_auth::{ImportError, Pace, Scope, Subject, Why, config::CacheConfig};

use crate::plan::{Leaves, Outage};
use crate::support::hostile::{OnSave, eventually, settle};
use crate::world::application::name;
use crate::world::{Effect, Inner, Owner};

/// Tokens issued without a flow cover the first workspace.
const IMPORTER: Owner = 0;

impl Inner {
    /// The subject of this browser for the application. `None` without a session.
    async fn subject_of(&self, browser: usize, instance: usize) -> Option<Subject> {
        if self.setup.users {
            return Some(Subject::user(name(self.browsers[browser].person)));
        }
        if self.outage != Outage::None {
            return None;
        }
        let grants = self.grants(browser, instance).await?;
        grants.split(' ').next().unwrap().parse().ok()
    }

    /// A new token of the first user, or the last imported one.
    pub(super) async fn import(&mut self, instance: usize, again: bool) -> Effect {
        let subject = if self.setup.users {
            Some(Subject::user(name(IMPORTER)))
        } else {
            self.subject_of(IMPORTER, instance).await
        };
        let Some(subject) = subject else { return Effect::nothing() };
        let last = self.last_import.clone().filter(|_| again);
        // Importing the same token for another session creates another row.
        let last = last.filter(|token| self.setup.users || !self.stored.contains_key(token));
        let token = last.unwrap_or_else(|| self.fake.issue_token([Scope::SITES_READ]));
        self.last_import = Some(token.clone());
        self.issued.insert(token.clone());
        *self.imports.entry(token.clone()).or_default() += 1;
        let is_live = self.is_live(&token).await;
        let is_there = self.stored.contains_key(&token) && !self.unopenable.contains(&token);
        let works = self.outage == Outage::None;
        let saves = self.store.saves.load(Ordering::SeqCst);
        let handle = self.instances[instance].handle.clone();
        let imported = handle.import(&subject, token.clone()).await;
        match &imported {
            Ok(_) => assert!(is_live, "a dead token was imported"),
            Err(ImportError::Dead) => assert!(!is_live, "it is not dead"),
            Err(error) => assert!(!works, "{error}"),
        }
        if is_there && works {
            assert_eq!(self.store.saves.load(Ordering::SeqCst), saves, "the same is written again");
        }
        // A write without an acknowledgement may have succeeded.
        let may_write = matches!(
            self.outage,
            Outage::None | Outage::Acknowledgements | Outage::Hang | Outage::WritesHang
        );
        let replaces = !self.setup.several && (imported.is_ok() || may_write && is_live);
        Effect {
            may_drop: replaces.then_some(IMPORTER),
            supersedes: imported.is_ok() && !self.setup.several,
            changes_nothing: imported.is_err() && (works || !may_write) || works && is_there,
            imported: imported.is_ok().then_some(token).filter(|_| self.outage != Outage::Lag),
            why: Some(Why::Replaced),
            ..Effect::nothing()
        }
    }

    /// The application revokes all grants of this browser's user.
    pub(super) async fn revoke(&mut self, browser: usize, instance: usize) -> Effect {
        let Some(subject) = self.subject_of(browser, instance).await else {
            return Effect::nothing();
        };
        let person = self.browsers[browser].person;
        let revoked = self.instances[instance].handle.revoke(&subject).await;
        if self.outage == Outage::None {
            assert!(revoked.is_ok(), "{revoked:?}");
        }
        let mut gone = Vec::new();
        if revoked.is_ok() && self.setup.users && self.outage != Outage::Lag {
            let all = self.stored.iter().filter(|(_, workspace)| **workspace / 2 == person);
            let all = all.map(|(token, _)| token.clone());
            gone.extend(all.filter(|token| !self.unopenable.contains(token)));
        }
        if revoked.is_ok() && self.outage != Outage::Lag {
            assert!(!self.is_connected(browser, instance).await, "it was revoked");
        }
        Effect {
            may_drop: Some(person),
            revoked: gone.clone(),
            gone,
            reports: true,
            why: Some(Why::Revoked),
            revokes: true,
            changes_nothing: self.outage == Outage::Removals && revoked.is_err(),
            ..Effect::nothing()
        }
    }

    /// Only the keys of rows change.
    pub(super) async fn reseal(&mut self, instance: usize) -> Effect {
        let handle = self.instances[instance].handle.clone();
        let rows: Vec<_> = handle.reseal(fast()).collect().await;
        if self.outage == Outage::None {
            self.assert_resealed(&rows).await;
        }
        Effect { changes_nothing: true, ..Effect::nothing() }
    }

    /// Afterwards the newest key alone opens all rows that both keys opened.
    async fn assert_resealed(&self, rows: &[Result<TokenKey, ResealError>]) {
        let [mut openable, mut resealed] = [0, 0];
        let handles = [2, 1].map(|keys| self.layer(keys, CacheConfig::off()).handle());
        let stored = self.store.rows();
        let subjects: BTreeSet<_> = stored.iter().map(|row| row.key().subject().clone()).collect();
        for subject in &subjects {
            openable += handles[0].tokens(subject).await.unwrap().len();
            resealed += handles[1].tokens(subject).await.unwrap().len();
        }
        assert_eq!(resealed, openable, "a row needs the old key");
        let failed = rows.iter().filter(|row| row.is_err()).count();
        assert_eq!(failed, stored.len() - openable, "{rows:?}");
    }

    /// A reseal at one instance waits for the store while the browser acts at another.
    pub(super) async fn reseal_meanwhile(
        &mut self,
        browser: usize,
        instances: [usize; 2],
        leaves: Leaves,
    ) -> Effect {
        self.set_outage(Outage::None);
        let [resealer, instance] = instances;
        let callback = if leaves == Leaves::Connect {
            self.browsers[browser].signed_in = true;
            Some(self.connect(browser, instance, 0).await)
        } else {
            None
        };
        let handle = self.instances[resealer].handle.clone();
        let store = self.store.clone();
        store.on_save(OnSave::Gate);
        let mut run = tokio::spawn(async move { handle.reseal(fast()).collect::<Vec<_>>().await });
        eventually("a write or the end", || store.waiting() > 0 || run.is_finished()).await;
        let opens = async {
            settle().await;
            store.on_save(OnSave::Keep);
            while !run.is_finished() || store.waiting() > 0 {
                store.open_gate_for_all();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (&mut run).await.unwrap()
        };
        let (effect, rows) = if let Some(callback) = callback {
            tokio::join!(self.arrive(callback, instance, false, 0), opens)
        } else {
            let revoke = leaves == Leaves::Revoking;
            tokio::join!(self.log_out(browser, instance, revoke, false), opens)
        };
        self.heal().await;
        // A row that changed in the meantime is left to the next run.
        let opened = |row: &Result<_, _>| !matches!(row, Err(ResealError::Unopenable(_)));
        assert!(rows.iter().all(opened) || self.keys.len() > 2, "{rows:?}");
        let again: Vec<_> = self.instances[resealer].handle.reseal(fast()).collect().await;
        self.assert_resealed(&again).await;
        effect
    }
}

/// So fast that no plan has to wait.
fn fast() -> Pace {
    Pace::per_second(100_000)
}

//! Stores a newly issued grant, or revokes it if it cannot be stored or the application refuses it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::exchange::Arrival;
use crate::context::Context;
use crate::grant::details::{GrantDetails, Sites};
use crate::grant::policy::GrantPolicy;
use crate::grant::token::WebflowToken;
use crate::hooks::Why;
use crate::lifecycle::disconnect::{remove_later, report, revoke_now_or_later};
use crate::store::{GrantId, StoreError, TokenKey, TokenVersion};
use crate::util::deadline::Deadline;
use crate::util::log;
use crate::vault::Draft;
use crate::vault::cache::Tokens;

/// How often a write is attempted. The pauses double, and add up to about a third of a second.
const WRITE_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The time reserved for the clean-up after a failed write.
const CLEAN_UP: Duration = Duration::from_millis(1500);

/// The grants stored before the new one.
pub struct Known {
    /// The subject's grants.
    pub present: Tokens,
    /// The grants of the browser's previous session.
    pub previous: Tokens,
}

/// A row that this callback writes: the new grant, or one moved from the previous session.
#[derive(Clone)]
struct Written {
    /// The version that a moved grant had under the previous session.
    moved_from: Option<TokenVersion>,
    draft: Draft,
}

/// A stored grant. The grants that it replaces are not removed yet.
pub struct Kept {
    pub token: WebflowToken,
    written: Vec<Written>,
}

/// Stores the grant. On failure, revokes it at Webflow and undoes the writes.
pub async fn keep(
    context: &Arc<Context>,
    arrival: &Arrival,
    known: &Known,
    details: GrantDetails,
    deadline: Deadline,
) -> Result<Kept, StoreError> {
    let mut written = Vec::new();
    let writes = store(context, arrival, &known.previous, &details, &mut written);
    let stored = deadline.leaving(CLEAN_UP).limit(writes).await;
    match stored.unwrap_or(Err(StoreError::Timeout)) {
        Ok(token) => Ok(Kept { token, written }),
        Err(error) => {
            tracing::error!(
                target: log::FLOW, flow = arrival.flow.id(),
                error = &error as &dyn Error,
                "could not store the grant; revoking it"
            );
            undo(context, details, written, deadline).await;
            Err(error)
        }
    }
}

impl Kept {
    /// The grant with the same key, whose row the new one has overwritten.
    pub fn overwritten<'k>(&self, known: &'k Known) -> Option<&'k WebflowToken> {
        known.present.iter().find(|old| old.grant().key == self.token.grant().key)
    }

    /// The row to which a grant of the previous session was moved.
    fn moved(&self, old: &WebflowToken) -> Option<&Written> {
        let version = Some(old.grant().version);
        self.written.iter().find(|row| row.moved_from == version)
    }

    /// The grant that the new one replaces.
    pub fn former<'k>(&'k self, known: &'k Known) -> Option<&'k WebflowToken> {
        let previous = known.previous.iter().find(|old| self.moved(old).is_none());
        self.overwritten(known).or_else(|| self.covered(known).next()).or(previous)
    }

    /// The subject's other grants that the new one covers, newest first.
    fn covered<'k>(&'k self, known: &'k Known) -> impl Iterator<Item = &'k WebflowToken> {
        // With one grant per subject there are no others.
        let new = self.token.grant();
        let others = known.present.iter().filter(|old| old.grant().key != new.key);
        others.filter(|old| covers(&new.details, &old.grant().details))
    }

    /// Removes the grants that the new one replaces: those of the previous session, which nobody
    /// can reach once its cookie is replaced, and those that the new one covers.
    pub async fn replace(&self, context: &Arc<Context>, known: &Known, deadline: Deadline) {
        if let Some(old) = self.overwritten(known) {
            report(context, old, Why::Replaced);
        }
        for old in known.previous.iter().chain(self.covered(known)) {
            let moved = self.moved(old);
            let why = moved.is_none().then_some(Why::Replaced);
            let removed = deadline.limit(context.vault.remove(old)).await;
            match removed.unwrap_or(Err(StoreError::Timeout)) {
                Ok(true) => {
                    if let Some(why) = why {
                        report(context, old, why);
                    }
                }
                Ok(false) => {
                    // The user signed out or revoked it during the move, so the copy must not stay.
                    if let Some(moved) = moved {
                        take_back(context, moved.draft.token()).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        target: log::FLOW, error = &error as &dyn Error,
                        "could not remove a replaced grant; retrying in the background"
                    );
                    remove_later(context, old, why);
                }
            }
        }
    }

    /// Undoes everything because the application refused the grant: restores the former grants, and
    /// revokes the new token at Webflow. Failed writes are retried in the background.
    pub async fn refuse(self, context: &Arc<Context>, known: &Known) {
        // `on_revoked` does not hear of a grant that the application refused.
        self.token.state().take_report();
        let former = self.overwritten(known);
        for moved in self.written.iter().filter(|row| row.moved_from.is_some()) {
            take_back(context, moved.draft.token()).await;
        }
        match former.map(|old| {
            let grant = old.grant();
            context.vault.draft(grant.key.clone(), grant.details.clone())
        }) {
            Some(Ok(draft)) => put_back(context, &self.token, draft).await,
            Some(Err(_)) | None => take_back(context, &self.token).await,
        }
        self.token.state().mark_dead();
        revoke_now_or_later(context, &self.token).await;
    }
}

/// Restores the grant that `token` has overwritten.
async fn put_back(context: &Arc<Context>, token: &WebflowToken, draft: Draft) {
    let Err(error) = context.vault.put_back(token, &draft).await else { return };
    tracing::warn!(
        target: log::FLOW, error = &error as &dyn Error,
        "could not restore the former grant; retrying in the background"
    );
    let (own, token) = (Arc::clone(context), token.clone());
    context.tasks.retry_later("restoring a former grant", move || {
        let (context, token, draft) = (Arc::clone(&own), token.clone(), draft.clone());
        async move { context.vault.put_back(&token, &draft).await.is_ok() }
    });
}

/// Moves the grants of the previous session that the new one does not cover, then writes the new
/// one, so that it is the newest.
async fn store(
    context: &Arc<Context>,
    arrival: &Arrival,
    previous: &Tokens,
    details: &GrantDetails,
    written: &mut Vec<Written>,
) -> Result<WebflowToken, StoreError> {
    let grant = if context.vault.grants == GrantPolicy::Single {
        GrantId::default()
    } else {
        for old in previous.iter().rev().filter(|old| !covers(details, &old.grant().details)) {
            let key = TokenKey::new(arrival.subject.clone(), old.grant_id().clone());
            let draft = context.vault.draft(key, old.grant().details.clone())?;
            written.push(Written { moved_from: Some(old.grant().version), draft: draft.clone() });
            save(context, &draft).await?;
        }
        grant_id(details, &arrival.flow.id())
    };
    let key = TokenKey::new(arrival.subject.clone(), grant);
    let draft = context.vault.draft(key, details.clone())?;
    written.push(Written { moved_from: None, draft: draft.clone() });
    save(context, &draft).await?;
    Ok(draft.token().clone())
}

/// Webflow's authorization ID, or the flow's ID if introspection failed.
fn grant_id(details: &GrantDetails, flow: &str) -> GrantId {
    let coverage = details.coverage.as_ref();
    let authorization = coverage.and_then(|coverage| coverage.authorization_id.clone());
    GrantId::new(authorization.unwrap_or_else(|| format!("flow-{flow}")))
}

/// Whether the new grant covers everything that the old one covered.
fn covers(new: &GrantDetails, old: &GrantDetails) -> bool {
    let (Some(new), Some(old)) = (&new.coverage, &old.coverage) else { return false };
    let within = |old: &[String], new: &[String]| old.iter().all(|id| new.contains(id));
    let sites = match (&new.sites, &old.sites) {
        // Webflow does not report the workspace of an individual site, hence the guard.
        (Sites::Listed(_), _) if !old.workspaces.is_empty() => true,
        // The old grant also covers sites that are added to its workspace later.
        (_, Sites::Listed(_)) => false,
        (new, Sites::Named(old)) => within(old, new.ids()),
    };
    sites && within(&old.workspaces, &new.workspaces)
}

/// Every attempt writes the same row, so a lost acknowledgement duplicates nothing.
async fn save(context: &Arc<Context>, draft: &Draft) -> Result<(), StoreError> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        match context.vault.save(draft).await {
            Err(error) if attempt < WRITE_ATTEMPTS => {
                tracing::warn!(
                    target: log::FLOW, attempt, error = &error as &dyn Error,
                    "the write failed; retrying"
                );
                sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Revokes a token that could not be stored, and removes the rows written so far. Past the deadline
/// this continues in the background.
async fn undo(
    context: &Arc<Context>,
    details: GrantDetails,
    written: Vec<Written>,
    deadline: Deadline,
) {
    let own = Arc::clone(context);
    let work = async move {
        let removals = async {
            for row in &written {
                take_back(&own, row.draft.token()).await;
            }
        };
        tokio::join!(revoke(&own, &details), removals);
    };
    deadline.limit(context.tasks.run(work)).await;
}

/// Removes a row that must not stay, now or in the background. The row may exist even if its write
/// failed, since the acknowledgement may have been lost.
async fn take_back(context: &Arc<Context>, token: &WebflowToken) {
    if context.vault.remove(token).await.is_err() {
        remove_later(context, token, None);
    }
}

async fn revoke(context: &Arc<Context>, details: &GrantDetails) {
    if let Err(error) = context.webflow.revoke(&details.access_token).await {
        let coverage = details.coverage.as_ref();
        tracing::error!(
            target: log::FLOW, authorization = coverage.and_then(|coverage| coverage.authorization_id.as_deref()),
            error = &error as &dyn Error,
            "could not revoke a token that could not be stored; retrying the revocation"
        );
        let webflow = Arc::clone(&context.webflow);
        webflow.retry_revocation(&context.tasks, details.access_token.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::details::tests::{coverage, details, ids};

    fn grant(sites: &[&str], workspaces: &[&str]) -> GrantDetails {
        GrantDetails { coverage: Some(coverage(sites, workspaces)), ..details(&[]) }
    }

    /// A grant of a whole workspace, with the sites that it has now.
    fn whole(sites: &[&str], workspace: &str) -> GrantDetails {
        let mut grant = grant(&[], &[workspace]);
        grant.list_sites(ids(sites));
        grant
    }

    #[test]
    fn a_grant_covers_another_only_if_nothing_is_lost() {
        let unknown = GrantDetails { coverage: None, ..grant(&[], &[]) };
        for (expected, new, old) in [
            (true, grant(&[], &["w1"]), grant(&[], &["w1"])),
            (true, grant(&[], &["w1", "w2"]), grant(&[], &["w1"])),
            (true, grant(&[], &["w1"]), grant(&["s1"], &["w1"])),
            (true, grant(&["s1", "s2"], &[]), grant(&["s1"], &[])),
            (true, grant(&["s1"], &["w1"]), grant(&["s1"], &["w1"])),
            (false, grant(&[], &["w1"]), grant(&[], &["w2"])),
            (false, grant(&[], &["w1"]), grant(&["s1"], &[])),
            (false, grant(&[], &["w1"]), grant(&[], &[])),
            (false, grant(&["s1"], &[]), grant(&["s1", "s2"], &[])),
            (false, grant(&["s1"], &["w1"]), grant(&[], &["w1"])),
            (false, grant(&[], &["w1"]), unknown.clone()),
            (false, unknown, grant(&[], &["w1"])),
            (true, whole(&["s1", "s2"], "w1"), grant(&["s1"], &[])),
            (true, whole(&[], "w1"), whole(&["s1"], "w1")),
            (false, whole(&["s1"], "w1"), grant(&["s1", "s2"], &[])),
            (false, grant(&["s1"], &["w1"]), whole(&["s1"], "w1")),
            (false, whole(&["s1"], "w2"), whole(&["s1"], "w1")),
        ] {
            assert_eq!(covers(&new, &old), expected, "{:?} {:?}", new.coverage, old.coverage);
        }
    }
}

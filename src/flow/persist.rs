//! A grant that was issued is stored, or given back.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::exchange::Arrival;
use crate::context::Shared;
use crate::grant::policy::GrantPolicy;
use crate::grant::revoke::remove_later;
use crate::grant::token::GrantDetails;
use crate::grant::token::WebflowToken;
use crate::store::{GrantId, StoreError, TokenKey, TokenVersion};
use crate::vault::Draft;
use crate::vault::cache::Tokens;
use crate::webflow::revocation;

/// How often a write is tried, with doubling pauses: 3 attempts within about a third of a second
/// besides their own time.
const WRITE_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What was there before the grant.
pub(super) struct Known {
    /// The subject's own grants.
    pub(super) present: Tokens,
    /// Those of the session that the browser had until now.
    pub(super) previous: Tokens,
}

/// Stores the grant, and removes what it takes the place of. If it cannot be stored, it is revoked
/// again, and nothing has changed.
pub(super) async fn keep(
    shared: &Arc<Shared>,
    arrival: &Arrival,
    known: &Known,
    details: GrantDetails,
) -> Result<WebflowToken, StoreError> {
    let mut moved = Vec::new();
    let stored = store(shared, arrival, &known.previous, &details, &mut moved).await;
    let token = match stored {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(
                flow = arrival.flow.id(),
                error = &error as &dyn Error,
                "the grant could not be stored: it is revoked again"
            );
            revoke(shared, &details).await;
            for copy in &moved {
                take_back(shared, &copy.draft).await;
            }
            return Err(error);
        }
    };
    // A session that ends here is reachable by nobody once its cookie is replaced; and a grant
    // that the new one covers would only be in the way.
    let several = shared.vault.grants == GrantPolicy::PerWorkspace;
    let covered = known.present.iter().filter(|old| several && old.grant_id() != token.grant_id());
    let covered = covered.filter(|old| covers(&token.grant().details, &old.grant().details));
    for old in known.previous.iter().chain(covered) {
        match shared.vault.remove(old).await {
            Ok(true) => {}
            Ok(false) => {
                // It was logged out or revoked while it was being moved: so it must not stay.
                for copy in moved.iter().filter(|copy| copy.of == old.grant().version) {
                    take_back(shared, &copy.draft).await;
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "a former grant remains for now: its removal is tried again"
                );
                remove_later(shared, old);
            }
        }
    }
    Ok(token)
}

/// A grant of the former session under the new one.
struct Copy {
    of: TokenVersion,
    draft: Draft,
}

/// Writes the grant, after those of the former session that it does not cover: the new one stays
/// the newest.
async fn store(
    shared: &Arc<Shared>,
    arrival: &Arrival,
    previous: &Tokens,
    details: &GrantDetails,
    moved: &mut Vec<Copy>,
) -> Result<WebflowToken, StoreError> {
    let grant = if shared.vault.grants == GrantPolicy::Single {
        GrantId::default()
    } else {
        for old in previous.iter().rev().filter(|old| !covers(details, &old.grant().details)) {
            let key = TokenKey::new(arrival.subject.clone(), old.grant_id().clone());
            let draft = shared.vault.draft(key, old.grant().details.clone())?;
            let saved = save(shared, &draft).await;
            moved.push(Copy { of: old.grant().version, draft });
            saved?;
        }
        grant_id(details, &arrival.flow.id())
    };
    let key = TokenKey::new(arrival.subject.clone(), grant);
    let draft = shared.vault.draft(key, details.clone())?;
    match save(shared, &draft).await {
        Ok(()) => Ok(draft.token().clone()),
        Err(error) => {
            take_back(shared, &draft).await;
            Err(error)
        }
    }
}

/// The authorization's id at Webflow, or the flow's where introspection could not tell it.
fn grant_id(details: &GrantDetails, flow: &str) -> GrantId {
    let told = details.coverage.as_ref().and_then(|coverage| coverage.authorization_id.clone());
    GrantId::new(told.unwrap_or_else(|| format!("flow-{flow}")))
}

/// Whether all that an old grant covered is covered by the new one.
fn covers(new: &GrantDetails, old: &GrantDetails) -> bool {
    let (Some(new), Some(old)) = (&new.coverage, &old.coverage) else { return false };
    let within = |old: &[String], new: &[String]| old.iter().all(|id| new.contains(id));
    // Of single sites it is not told which workspace they are of.
    let whole_workspace = new.sites.is_empty() && !old.workspaces.is_empty();
    within(&old.workspaces, &new.workspaces)
        && (whole_workspace || !old.sites.is_empty() && within(&old.sites, &new.sites))
}

/// Every attempt writes the same row: one whose acknowledgement was lost is not written twice.
async fn save(shared: &Shared, draft: &Draft) -> Result<(), StoreError> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        match shared.vault.save(draft).await {
            Err(error) if attempt < WRITE_ATTEMPTS => {
                tracing::warn!(attempt, error = &error as &dyn Error, "the write is tried again");
                sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Removes a row that was given up: a write that failed or took too long may have been kept all
/// the same.
async fn take_back(shared: &Arc<Shared>, draft: &Draft) {
    if shared.vault.remove(draft.token()).await.is_err() {
        remove_later(shared, draft.token());
    }
}

/// Gives back a token that could not be kept.
async fn revoke(shared: &Shared, details: &GrantDetails) {
    if let Err(error) = shared.webflow.revoke(&details.access_token).await {
        let coverage = details.coverage.as_ref();
        tracing::error!(
            authorization = coverage.and_then(|coverage| coverage.authorization_id.as_deref()),
            error = &error as &dyn Error,
            "a token that could not be stored could not be revoked either; it is tried again"
        );
        revocation::retry_later(Arc::clone(&shared.webflow), details.access_token.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::scope::Scopes;
    use crate::grant::token::Coverage;

    fn grant(sites: &[&str], workspaces: &[&str]) -> GrantDetails {
        let owned = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        GrantDetails {
            access_token: "token".into(),
            scopes: Scopes::default(),
            obtained_at: std::time::UNIX_EPOCH,
            coverage: Some(Coverage {
                authorization_id: None,
                sites: owned(sites),
                workspaces: owned(workspaces),
            }),
            flows: Vec::new(),
            asked: Scopes::default(),
            renewed: false,
        }
    }

    #[test]
    fn a_grant_covers_another_only_if_nothing_of_that_one_would_be_lost() {
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
        ] {
            assert_eq!(covers(&new, &old), expected, "{:?} {:?}", new.coverage, old.coverage);
        }
    }
}

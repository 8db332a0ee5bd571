//! Learning again what a grant covers: when the look-up at its callback failed, or when Webflow
//! has said that a scope is lacking.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync;

use super::token::Coverage;
use super::token::WebflowToken;
use crate::context::Shared;
use crate::store::TokenVersion;
use crate::vault::cache::Tokens;

/// For how many grants it is known when they were looked up; of more the oldest are forgotten, and
/// looked up once more than they had to be.
const MAX_KNOWN: usize = 4096;

/// The pause after a look-up; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// When grants may be looked up again, by their version.
pub(crate) struct Pauses(sync::Cache<TokenVersion, Pause>);

#[derive(Clone, Copy)]
struct Pause {
    since: u64,
    length: Duration,
}

impl Pause {
    /// A clock that was set back ends a pause.
    fn is_over(self, now: u64) -> bool {
        now.checked_sub(self.since)
            .is_none_or(|passed| Duration::from_millis(passed) >= self.length)
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self(sync::Cache::new(MAX_KNOWN))
    }
}

impl Pauses {
    /// Whether the grant may be looked up at `now`, in Unix milliseconds. The next pause then
    /// begins, longer than the last.
    fn is_time(&self, grant: TokenVersion, now: u64) -> bool {
        let last = self.0.get(&grant);
        if last.is_some_and(|pause| !pause.is_over(now)) {
            return false;
        }
        let length = last.map_or(FIRST_PAUSE, |last| (last.length * 2).min(LONGEST_PAUSE));
        self.0.insert(grant, Pause { since: now, length });
        true
    }

    /// The look-up has succeeded: the pause is a short one.
    fn succeeded(&self, grant: TokenVersion, now: u64) {
        self.0.insert(grant, Pause { since: now, length: FIRST_PAUSE });
    }
}

/// Looks up, in the background, what is out of date among these grants.
pub(crate) fn refresh(shared: &Arc<Shared>, tokens: &Tokens) {
    if !shared.introspect {
        return;
    }
    for token in tokens.iter().filter(|token| token.take_outdated()) {
        if shared.look_ups.is_time(token.grant().version, shared.clock.unix_millis()) {
            let (own, token) = (Arc::clone(shared), token.clone());
            shared.tasks.spawn(async move { look_up(&own, &token).await });
        }
    }
}

async fn look_up(shared: &Shared, token: &WebflowToken) {
    let found = match shared.webflow.introspect(token.access_token()).await {
        Ok(found) => found,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::warn!(error, "the grant's sites are still not known");
        }
    };
    let mut details = token.grant().details.clone();
    if let Some(scopes) = found.scopes {
        details.scopes = scopes;
    }
    details.coverage = Some(Coverage {
        authorization_id: found.authorization_id,
        sites: found.sites,
        workspaces: found.workspaces,
    });
    match shared.vault.update(token, &details).await {
        Ok(there) => {
            shared.look_ups.succeeded(token.grant().version, shared.clock.unix_millis());
            tracing::info!(subject = ?token.subject(), there, "the grant was looked up");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was learned of the grant could not be stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_a_success_makes_them_short_again() {
        let pauses = Pauses::default();
        let grant = TokenVersion::at(1, 1);
        let mut now = 1_000_000_000;
        for length in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            assert!(pauses.is_time(grant, now));
            assert!(!pauses.is_time(grant, now + length * 1000 - 1));
            assert!(pauses.is_time(TokenVersion::at(length, 2), now), "each grant has its own");
            now += length * 1000;
        }
        pauses.succeeded(grant, now);
        assert!(!pauses.is_time(grant, now + 9_999));
        assert!(pauses.is_time(grant, now + 10_000));
        assert!(pauses.is_time(grant, 0), "a clock that was set back ends a pause");
    }

    #[test]
    fn only_so_much_is_remembered() {
        let pauses = Pauses::default();
        for i in 0..100_000 {
            pauses.is_time(TokenVersion::at(i, 0), 0);
        }
        assert!(pauses.0.len() <= MAX_KNOWN);
    }
}

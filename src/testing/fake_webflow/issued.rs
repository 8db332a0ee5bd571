//! Issued codes and tokens, and their expiry.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::workspaces::Access;
use crate::grant::scope::Scopes;

/// Lifetime of codes and ID tokens. Source: Webflow Data API, OAuth, *Authorization Code Grant
/// Flow*; *Hybrid Apps*.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

const MINUTE: Duration = Duration::from_secs(60);

/// What the user agreed to.
#[derive(Debug, Clone)]
pub struct Approval {
    pub scopes: Scopes,
    pub access: Access,
}

/// An issued code and the conditions for its exchange.
pub struct Code {
    pub approval: Approval,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// Whether the authorize link contained the redirect URI; if so, the exchange must too.
    pub redirect_uri_sent: bool,
    pub issued_at: SystemTime,
}

/// A token's record.
#[derive(Clone)]
pub struct Grant {
    pub id: String,
    pub approval: Approval,
    pub created_at: SystemTime,
    pub last_used_at: SystemTime,
    live: bool,
    minute: Minute,
}

/// The requests of one token in the minute that starts with its first request.
#[derive(Clone)]
struct Minute {
    since: SystemTime,
    requests: u32,
}

/// A token's remaining rate limit after a request.
pub enum Budget {
    Left(u32),
    Spent { retry_after: Duration },
}

struct IdToken {
    site_id: String,
    issued_at: SystemTime,
}

/// Everything issued since the start.
#[derive(Default)]
pub struct Issued {
    /// A used code stays as `None`, to tell it from an unknown one.
    codes: HashMap<String, Option<Code>>,
    grants: HashMap<String, Grant>,
    latest: Option<String>,
    id_tokens: HashMap<String, IdToken>,
}

impl Issued {
    pub fn add_code(&mut self, text: String, code: Code) {
        self.codes.insert(text, Some(code));
    }

    /// Uses up a code, or returns why it is invalid. A rejected attempt leaves the code usable, so
    /// that someone who only knows the code cannot spoil it for the app.
    pub fn redeem(
        &mut self,
        text: &str,
        redirect_uri: Option<&str>,
        now: SystemTime,
    ) -> Result<Approval, &'static str> {
        let slot = self.codes.get_mut(text).ok_or("the code is unknown")?;
        let code = slot.as_ref().ok_or("the code has already been used")?;
        if has_passed(code.issued_at, LIFETIME, now) {
            return Err("the code is older than 15 minutes");
        }
        match redirect_uri {
            None if code.redirect_uri_sent => {
                return Err("redirect_uri was in the authorize link and is missing here");
            }
            Some(sent) if sent != code.redirect_uri => {
                return Err("redirect_uri differs from the authorize link's");
            }
            _ => {}
        }
        slot.take().map(|code| code.approval).ok_or("the code has already been used")
    }

    pub fn add_token(&mut self, token: String, id: String, approval: Approval, now: SystemTime) {
        self.latest = Some(token.clone());
        let grant = Grant {
            id,
            approval,
            created_at: now,
            last_used_at: now,
            live: true,
            minute: Minute { since: now, requests: 0 },
        };
        self.grants.insert(token, grant);
    }

    /// Counts a request of a live token; `None` for any other.
    pub fn spend(
        &mut self,
        token: &str,
        per_minute: u32,
        now: SystemTime,
    ) -> Option<(Grant, Budget)> {
        let grant = self.grants.get_mut(token).filter(|grant| grant.live)?;
        grant.last_used_at = now;
        if has_passed(grant.minute.since, MINUTE, now) {
            grant.minute = Minute { since: now, requests: 0 };
        }
        let minute = &mut grant.minute;
        let budget = if minute.requests < per_minute {
            minute.requests += 1;
            Budget::Left(per_minute - minute.requests)
        } else {
            let elapsed = now.duration_since(minute.since).unwrap_or_default();
            Budget::Spent { retry_after: MINUTE.saturating_sub(elapsed) }
        };
        Some((grant.clone(), budget))
    }

    /// Revokes a token. Returns `false` if it was not live.
    pub fn revoke(&mut self, token: &str) -> bool {
        self.grants.get_mut(token).is_some_and(|grant| std::mem::replace(&mut grant.live, false))
    }

    pub fn revoke_everything(&mut self) {
        for grant in self.grants.values_mut() {
            grant.live = false;
        }
        self.codes.values_mut().for_each(|code| *code = None);
    }

    pub fn latest_token(&self) -> Option<&str> {
        self.latest.as_deref()
    }

    pub fn issued_tokens(&self) -> usize {
        self.grants.len()
    }

    pub fn live_tokens(&self) -> usize {
        self.grants.values().filter(|grant| grant.live).count()
    }

    pub fn add_id_token(&mut self, text: String, site_id: String, now: SystemTime) {
        let issued_at = now;
        self.id_tokens.insert(text, IdToken { site_id, issued_at });
    }

    /// The site whose Designer issued this ID token, while it is valid.
    pub fn site_of_id_token(&self, text: &str, now: SystemTime) -> Option<&str> {
        self.id_tokens
            .get(text)
            .filter(|token| !has_passed(token.issued_at, LIFETIME, now))
            .map(|token| token.site_id.as_str())
    }
}

fn has_passed(since: SystemTime, span: Duration, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|elapsed| elapsed >= span)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::grant::scope::Scope;

    fn approval() -> Approval {
        Approval {
            scopes: Scopes::from([Scope::SITES_READ]),
            access: Access::Workspace("w".into()),
        }
    }

    fn issued_with_code(redirect_uri_sent: bool) -> Issued {
        let mut issued = Issued::default();
        let code = Code {
            approval: approval(),
            redirect_uri: "https://app.example/cb".into(),
            redirect_uri_sent,
            issued_at: UNIX_EPOCH,
        };
        issued.add_code("code".into(), code);
        issued
    }

    #[test]
    fn a_code_works_once() {
        let mut issued = issued_with_code(false);
        assert!(issued.redeem("code", None, UNIX_EPOCH).is_ok());
        assert!(issued.redeem("code", None, UNIX_EPOCH).is_err());
        assert!(issued.redeem("other", None, UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_code_lives_15_minutes() {
        let last = UNIX_EPOCH + LIFETIME - Duration::from_millis(1);
        assert!(issued_with_code(false).redeem("code", None, last).is_ok());
        let late = UNIX_EPOCH + LIFETIME;
        assert!(issued_with_code(false).redeem("code", None, late).is_err());
    }

    #[test]
    fn a_redirect_uri_in_the_link_is_asked_for_again() {
        for (sent, again, good) in [
            (true, Some("https://app.example/cb"), true),
            (true, Some("https://app.example/cb/"), false),
            (true, None, false),
            (false, None, true),
            (false, Some("https://app.example/cb"), true),
            (false, Some("https://other.example/cb"), false),
        ] {
            let mut issued = issued_with_code(sent);
            let redeemed = issued.redeem("code", again, UNIX_EPOCH);
            assert_eq!(redeemed.is_ok(), good, "{sent} {again:?}");
            let right = issued.redeem("code", Some("https://app.example/cb"), UNIX_EPOCH);
            assert_eq!(right.is_ok(), !good, "a refusal leaves the code alone");
        }
    }

    #[test]
    fn a_tokens_minute_begins_with_its_first_request() {
        let mut issued = Issued::default();
        issued.add_token("token".into(), "id".into(), approval(), UNIX_EPOCH);
        let mut spend = |secs| {
            let now = UNIX_EPOCH + Duration::from_secs(secs);
            match issued.spend("token", 2, now) {
                Some((_, Budget::Left(left))) => Ok(left),
                Some((_, Budget::Spent { retry_after })) => Err(retry_after.as_secs()),
                None => panic!("the token is live"),
            }
        };
        assert_eq!(spend(100), Ok(1));
        assert_eq!(spend(110), Ok(0));
        assert_eq!(spend(130), Err(30));
        assert_eq!(spend(160), Ok(1));
    }

    #[test]
    fn a_revoked_token_is_issued_but_not_live() {
        let mut issued = Issued::default();
        issued.add_token("token".into(), "id".into(), approval(), UNIX_EPOCH);
        assert!(issued.revoke("token"));
        assert!(!issued.revoke("token"));
        assert!(!issued.revoke("other"));
        assert!(issued.spend("token", 60, UNIX_EPOCH).is_none());
        assert_eq!((issued.issued_tokens(), issued.live_tokens()), (1, 0));
    }
}

//! The details of a grant that the store keeps encrypted.

use std::time::SystemTime;

use secrecy::SecretString;

use super::scope::{Scope, Scopes};
use super::user::WebflowUser;

/// The encrypted part of a stored grant.
#[derive(Clone)]
pub struct GrantDetails {
    pub access_token: SecretString,
    pub scopes: Scopes,
    pub obtained_at: SystemTime,
    /// What the token covers. `None` until an introspection has succeeded.
    pub coverage: Option<Coverage>,
    /// Who authorized the grant. `None` without the scope, or until a lookup has succeeded.
    pub user: Option<WebflowUser>,
    /// `expires_in` and `refresh_token` as issued, in a JSON object.
    pub extra: Option<SecretString>,
    /// The flows that led to this grant, newest last, by which a repeated callback is recognized.
    pub flows: Vec<String>,
    /// The scopes that were requested. One that is here but not in `scopes` was declined.
    pub asked: Scopes,
    /// Whether the grant replaces one whose token Webflow rejected.
    pub renewed: bool,
}

/// What a token covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    pub authorization_id: Option<String>,
    /// The ID of the app at Webflow.
    pub application_id: Option<String>,
    pub sites: Sites,
    pub workspaces: Vec<String>,
}

/// The sites that a token covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sites {
    /// Introspection names them.
    Named(Vec<String>),
    /// Introspection names none, as for a whole workspace. `/v2/sites` lists them. `None` until
    /// that call has succeeded.
    Listed(Option<Vec<String>>),
}

impl Default for Sites {
    fn default() -> Self {
        Self::Listed(None)
    }
}

impl Sites {
    /// The sites that introspection names, if any.
    pub fn named(ids: Vec<String>) -> Self {
        if ids.is_empty() { Self::default() } else { Self::Named(ids) }
    }

    pub fn ids(&self) -> &[String] {
        match self {
            Self::Named(ids) => ids,
            Self::Listed(ids) => ids.as_deref().unwrap_or_default(),
        }
    }

    /// Updates the sites with those that `/v2/sites` lists. Sites named by introspection stay.
    pub fn list(&mut self, listed: Vec<String>) {
        match self {
            Self::Named(named) => {
                named.extend(
                    listed.into_iter().filter(|id| !named.contains(id)).collect::<Vec<_>>(),
                );
            }
            Self::Listed(known) => *known = Some(listed),
        }
    }
}

/// The details of a grant that still have to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    pub coverage: bool,
    pub sites: bool,
    pub user: bool,
}

impl Missing {
    pub const fn any(self) -> bool {
        self.coverage || self.sites || self.user
    }
}

impl GrantDetails {
    /// The details to look up. `introspect` is false if the application has disabled introspection.
    pub fn missing(&self, introspect: bool) -> Missing {
        let unlisted = |it: &Coverage| it.sites == Sites::Listed(None);
        Missing {
            coverage: introspect && self.coverage.is_none(),
            sites: self.coverage.as_ref().is_some_and(unlisted)
                && self.scopes.contains(&Scope::SITES_READ),
            user: self.user.is_none() && self.scopes.contains(&Scope::AUTHORIZED_USER_READ),
        }
    }

    /// Updates the details from an introspection. Sites listed before stay if the workspaces are
    /// the same.
    pub fn learn(&mut self, scopes: Option<Scopes>, mut coverage: Coverage) {
        if let Some(scopes) = scopes {
            self.scopes = scopes;
        }
        if !self.scopes.contains(&Scope::AUTHORIZED_USER_READ) {
            self.user = None;
        }
        if let (Sites::Listed(sites), Some(former)) = (&mut coverage.sites, self.coverage.take())
            && let Sites::Listed(listed) = former.sites
            && former.workspaces == coverage.workspaces
        {
            *sites = listed;
        }
        self.coverage = Some(coverage);
    }

    /// Updates the sites from `/v2/sites`. Ignored without coverage, since their workspaces are
    /// then unknown.
    pub fn list_sites(&mut self, listed: Vec<String>) {
        if let Some(coverage) = &mut self.coverage {
            coverage.sites.list(listed);
        }
    }

    pub fn sites(&self) -> &[String] {
        self.coverage.as_ref().map_or(&[], |coverage| coverage.sites.ids())
    }

    pub fn workspaces(&self) -> &[String] {
        self.coverage.as_ref().map_or(&[], |coverage| &coverage.workspaces)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    /// A grant with these scopes, of which nothing else is known.
    pub fn details(scopes: &[Scope]) -> GrantDetails {
        GrantDetails {
            access_token: "token".into(),
            scopes: scopes.iter().cloned().collect(),
            obtained_at: SystemTime::UNIX_EPOCH,
            coverage: None,
            user: None,
            extra: None,
            flows: Vec::new(),
            asked: Scopes::default(),
            renewed: false,
        }
    }

    pub fn coverage(sites: &[&str], workspaces: &[&str]) -> Coverage {
        Coverage {
            authorization_id: None,
            application_id: None,
            sites: Sites::named(ids(sites)),
            workspaces: ids(workspaces),
        }
    }

    #[test]
    fn missing_details_depend_on_scopes_and_introspection() {
        let both = [Scope::SITES_READ, Scope::AUTHORIZED_USER_READ];
        let missing = |details: &GrantDetails| {
            let Missing { coverage, sites, user } = details.missing(true);
            (coverage, sites, user)
        };
        let mut full = details(&both);
        assert_eq!(missing(&full), (true, false, true));
        assert_eq!(
            full.missing(false),
            Missing { coverage: false, sites: false, user: true },
            "an application that does without introspection still learns the user"
        );
        full.learn(None, coverage(&[], &["w"]));
        assert_eq!(missing(&full), (false, true, true));
        full.list_sites(Vec::new());
        full.user = Some(WebflowUser::default());
        assert!(!full.missing(true).any(), "no sites is an answer");

        let mut bare = details(&[]);
        bare.learn(None, coverage(&[], &["w"]));
        assert!(!bare.missing(true).any(), "without the scopes there is nothing to ask");
        let mut named = details(&both[..1]);
        named.learn(None, coverage(&["s"], &["w"]));
        assert!(!named.missing(true).any());
    }

    #[test]
    fn a_new_introspection_keeps_the_listed_sites_of_the_same_workspace() {
        let mut grant = details(&[Scope::SITES_READ]);
        grant.learn(None, coverage(&[], &["w"]));
        grant.list_sites(ids(&["a"]));
        grant.learn(None, coverage(&[], &["w"]));
        assert_eq!(grant.sites(), ["a"]);
        grant.learn(None, coverage(&[], &["v"]));
        assert!(grant.sites().is_empty() && grant.missing(true).sites);
        grant.learn(None, coverage(&["b"], &["v"]));
        assert_eq!(grant.sites(), ["b"]);
        grant.list_sites(ids(&["c", "b"]));
        assert_eq!(grant.sites(), ["b", "c"], "a list adds to what introspection names");
    }

    #[test]
    fn the_user_is_removed_with_the_scope() {
        let mut grant = details(&[Scope::AUTHORIZED_USER_READ]);
        grant.user = Some(WebflowUser::default());
        grant.learn(None, coverage(&[], &[]));
        assert!(grant.user.is_some(), "an introspection without scopes says nothing of them");
        grant.learn(Some(Scopes::default()), Coverage::default());
        assert!(grant.user.is_none());
    }
}

//! Scopes: what a grant allows.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::{ConfigError, ConfigProblem};

/// A Webflow scope, such as `sites:read`.
///
/// There is a constant for each scope that Webflow documents. [`Scope::new`] accepts any other of
/// the form `resource:action`, because the list grows. Source: Webflow Data API, *Scopes*; RFC 6749
/// section 3.3 for the characters.
///
/// ```
/// use tower_webflow_auth::Scope;
///
/// assert_eq!(Scope::SITES_READ.as_str(), "sites:read");
/// assert!(Scope::new("workspace_activity:read").is_ok());
/// assert!(Scope::new("sites read").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Cow<'static, str>);

macro_rules! documented_scopes {
    ($($name:ident = $value:literal),+ $(,)?) => {
        impl Scope {
            $(
                #[doc = concat!("The scope `", $value, "`.")]
                pub const $name: Self = Self(Cow::Borrowed($value));
            )+

            /// Every scope that Webflow documents, in alphabetical order.
            pub const DOCUMENTED: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

documented_scopes! {
    APP_SUBSCRIPTIONS_READ = "app_subscriptions:read",
    ASSETS_READ = "assets:read",
    ASSETS_WRITE = "assets:write",
    AUTHORIZED_USER_READ = "authorized_user:read",
    BRANCHES_CREATE = "branches:create",
    BRANCHES_DELETE = "branches:delete",
    BRANCHES_MERGE = "branches:merge",
    BRANCHES_PUBLISH = "branches:publish",
    BRANCHES_READ = "branches:read",
    BRANCHES_UPDATE = "branches:update",
    CMS_READ = "cms:read",
    CMS_WRITE = "cms:write",
    COMMENTS_READ = "comments:read",
    COMMENTS_WRITE = "comments:write",
    COMPONENTS_READ = "components:read",
    COMPONENTS_WRITE = "components:write",
    CUSTOM_CODE_READ = "custom_code:read",
    CUSTOM_CODE_WRITE = "custom_code:write",
    ECOMMERCE_READ = "ecommerce:read",
    ECOMMERCE_WRITE = "ecommerce:write",
    FORMS_READ = "forms:read",
    FORMS_WRITE = "forms:write",
    PAGES_READ = "pages:read",
    PAGES_WRITE = "pages:write",
    SITE_ACCESS_READ = "site_access:read",
    SITE_ACCESS_WRITE = "site_access:write",
    SITE_ACTIVITY_READ = "site_activity:read",
    SITE_CONFIG_READ = "site_config:read",
    SITE_CONFIG_WRITE = "site_config:write",
    SITES_READ = "sites:read",
    SITES_WRITE = "sites:write",
    USERS_READ = "users:read",
    USERS_WRITE = "users:write",
    WORKSPACE_READ = "workspace:read",
    WORKSPACE_WRITE = "workspace:write",
    WORKSPACE_ACTIVITY_READ = "workspace_activity:read",
    WORKSPACE_MEMBERS_READ = "workspace_members:read",
    WORKSPACE_MEMBERS_WRITE = "workspace_members:write",
}

impl Scope {
    /// Creates a scope from its text, `resource:action`.
    ///
    /// # Errors
    /// [`ConfigError`] if the text has another form. Both parts must be non-empty and consist of
    /// ASCII letters, digits, `_`, `-`, `.` and `*`.
    pub fn new(scope: impl Into<String>) -> Result<Self, ConfigError> {
        let scope = scope.into();
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.*".contains(&b))
        };
        match scope.split_once(':') {
            Some((resource, action))
                if part(resource) && part(action) && scope.len() <= Self::MAX_LEN =>
            {
                Ok(Self(Cow::Owned(scope)))
            }
            _ => Err(ConfigProblem::Invalid {
                setting: "scope",
                problem: format!("{:?} is not a scope", scope.chars().take(40).collect::<String>()),
                remedy: "copy it from Webflow's app settings, for example sites:read",
            }
            .into()),
        }
    }

    const MAX_LEN: usize = 64;

    /// Returns the scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = ConfigError;

    fn from_str(scope: &str) -> Result<Self, ConfigError> {
        Self::new(scope)
    }
}

/// A set of scopes that preserves insertion order.
///
/// `Display` joins the scopes with spaces, as in RFC 6749 section 3.3. Equality ignores the order.
///
/// ```
/// use tower_webflow_auth::{Scope, Scopes};
///
/// let granted = Scopes::from_iter([Scope::SITES_READ, Scope::CMS_READ]);
/// let wanted = Scopes::from_iter([Scope::CMS_WRITE, Scope::CMS_READ]);
/// assert_eq!(granted.missing(&wanted).to_string(), "cms:write");
/// assert_eq!(granted.union(&wanted).to_string(), "sites:read cms:read cms:write");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Parses the scopes in a response from Webflow, separated by spaces or commas. Ignores
    /// malformed scopes, and everything after the first 1024.
    pub fn parse_lenient(list: &str) -> Self {
        list.split([' ', ','])
            .filter_map(|scope| Scope::new(scope).ok())
            .take(Self::MAX_PARSED)
            .collect()
    }

    /// Webflow documents about forty. The cost of a set is quadratic in their number.
    const MAX_PARSED: usize = 1024;

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of `other` is in this set.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|scope| self.contains(scope))
    }

    /// Returns the scopes of `wanted` that are not in this set.
    #[must_use]
    pub fn missing(&self, wanted: &Self) -> Self {
        wanted.iter().filter(|scope| !self.contains(scope)).cloned().collect()
    }

    /// Returns the scopes of both sets: this set's first, then those that `other` adds.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// Iterates over the scopes in insertion order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Returns the number of scopes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parses configured scopes, separated by spaces or commas. Unlike
/// [`parse_lenient`](Scopes::parse_lenient), it reports every malformed scope as an error.
impl FromStr for Scopes {
    type Err = ConfigError;

    fn from_str(list: &str) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let set = list
            .split([' ', ','])
            .filter(|scope| !scope.is_empty())
            .filter_map(|scope| {
                Scope::new(scope).map_err(|error| problems.extend(error.into_problems())).ok()
            })
            .collect();
        if problems.is_empty() { Ok(set) } else { Err(ConfigError::from_problems(problems)) }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::default(), |mut set, scope| {
            if !set.contains(&scope) {
                set.0.push(scope);
            }
            set
        })
    }
}

impl<const N: usize> From<[Scope; N]> for Scopes {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl IntoIterator for Scopes {
    type Item = Scope;
    type IntoIter = std::vec::IntoIter<Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Scopes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.contains_all(other)
    }
}

impl Eq for Scopes {}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resource_and_action_make_a_scope() {
        for good in ["sites:read", "site_config:write", "workspace*:read", "x.y-z:w"] {
            assert_eq!(Scope::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "sites", ":read", "sites:", "a:b:c", "a b:c", "a:b,c:d", "a:é", "a:b\n"] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
        assert!(Scope::new(format!("{}:read", "x".repeat(64))).is_err());
    }

    #[test]
    fn w12_documented_scopes_are_sorted_and_well_formed() {
        let names: Vec<_> = Scope::DOCUMENTED.iter().map(Scope::as_str).collect();
        assert_eq!(names.len(), 38);
        assert!(names.is_sorted());
        for name in names {
            assert!(Scope::new(name).is_ok(), "{name}");
        }
        assert_eq!(Scope::BRANCHES_MERGE.as_str(), "branches:merge");
    }

    #[test]
    fn scope_lists_may_have_spaces_or_commas() {
        let spaces = Scopes::parse_lenient("sites:read cms:read");
        assert_eq!(spaces, Scopes::parse_lenient("cms:read, sites:read,,"));
        assert_eq!(Scopes::parse_lenient("<b> sites:read").to_string(), "sites:read");
    }

    #[test]
    fn typos_in_configured_scopes_are_named() {
        assert_eq!("sites:read,cms:read".parse(), Ok(Scopes::parse_lenient("sites:read cms:read")));
        let error = "sites:read cmsread <b>".parse::<Scopes>().unwrap_err();
        assert_eq!(error.problems().len(), 2, "{error}");
    }
}

//! Scopes: what a grant allows.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::{ConfigError, ConfigProblem};

/// One scope of Webflow's, such as `sites:read`.
///
/// Constants name those that Webflow documents; [`Scope::new`] takes any other that has the shape
/// `resource:action`, because the list grows. Source: Webflow Data API, *Scopes*; RFC 6749
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
    /// A scope by its text, `resource:action`.
    ///
    /// # Errors
    /// [`ConfigError`] when the text has another shape: both parts must be there and consist of
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
                remedy: "write it as in Webflow's app settings, for example sites:read",
            }
            .into()),
        }
    }

    const MAX_LEN: usize = 64;

    /// The scope's text.
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

/// A set of scopes that remembers the order in which they were given.
///
/// `Display` joins them by one space, the form of RFC 6749 section 3.3. Two sets are equal when
/// they hold the same scopes, whatever the order.
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
    /// The well-formed scopes in an answer of Webflow's, where they may be separated by spaces or
    /// by commas; what is not a scope is left out, and so is all that comes after the first 1024.
    pub fn parse_lenient(list: &str) -> Self {
        list.split([' ', ','])
            .filter_map(|scope| Scope::new(scope).ok())
            .take(Self::MAX_PARSED)
            .collect()
    }

    /// Webflow documents some forty; what a set costs grows with the square of their number.
    const MAX_PARSED: usize = 1024;

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of `other` is in this set.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|scope| self.contains(scope))
    }

    /// The scopes of `wanted` that are not in this set.
    #[must_use]
    pub fn missing(&self, wanted: &Self) -> Self {
        wanted.iter().filter(|scope| !self.contains(scope)).cloned().collect()
    }

    /// The scopes of both sets: this one's first, then what `other` adds.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// The scopes in the order in which they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// How many scopes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Scopes of one's own, separated by spaces or commas. Where
/// [`parse_lenient`](Scopes::parse_lenient) leaves out what is no scope, this names every such text.
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
        if problems.is_empty() { Ok(set) } else { Err(ConfigError::of(problems)) }
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
    fn webflows_lists_are_read_with_spaces_and_with_commas() {
        let spaces = Scopes::parse_lenient("sites:read cms:read");
        assert_eq!(spaces, Scopes::parse_lenient("cms:read, sites:read,,"));
        assert_eq!(Scopes::parse_lenient("<b> sites:read").to_string(), "sites:read");
    }

    #[test]
    fn a_typo_in_scopes_of_ones_own_is_named() {
        assert_eq!("sites:read,cms:read".parse(), Ok(Scopes::parse_lenient("sites:read cms:read")));
        let error = "sites:read cmsread <b>".parse::<Scopes>().unwrap_err();
        assert_eq!(error.problems().len(), 2, "{error}");
    }
}

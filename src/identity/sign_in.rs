//! Where the application's own users sign in.

use percent_encoding::utf8_percent_encode;

use crate::wire::paths::COMPONENT;
use crate::wire::return_to;

/// The application's sign-in page: a path of this origin, with a query if it needs one.
#[derive(Debug, Clone)]
pub struct SignIn(String);

impl SignIn {
    /// `None` if it is not a path of this origin, or has a fragment.
    pub fn new(path: &str) -> Option<Self> {
        let own = return_to::checked(path).is_some_and(|own| own == path) && !path.contains('#');
        own.then(|| Self(path.to_owned()))
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    /// The URL of the sign-in page, with `next` as the page to return to.
    pub fn url(&self, next: &str) -> String {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{separator}next={}", self.0, utf8_percent_encode(next, COMPONENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_appended_and_encoded() {
        for (path, expected) in [
            ("/login", "/login?next=%2Fa%3Fb%3Dc%26d"),
            ("/login?tab=1", "/login?tab=1&next=%2Fa%3Fb%3Dc%26d"),
        ] {
            let sign_in = SignIn::new(path).unwrap();
            assert_eq!(sign_in.path(), "/login");
            assert_eq!(sign_in.url("/a?b=c&d"), expected);
        }
    }

    #[test]
    fn i2_only_paths_of_this_origin_are_taken() {
        for path in ["", "login", "//evil.example", "https://evil.example/", "/\\evil", "/a#b"] {
            assert!(SignIn::new(path).is_none(), "{path:?}");
        }
    }
}

//! What can be wrong with the configuration, listed in one go.

use std::fmt;

/// Everything that is wrong with a configuration, found before the first request.
///
/// `Display` lists every problem with its remedy, so one look at the message is enough to mend
/// them all. So does `Debug`, which is what a `main` that returns the error prints.
///
/// ```
/// use tower_webflow_auth::WebflowAuthLayer;
///
/// let error = WebflowAuthLayer::builder().client_id("abc").build().unwrap_err();
/// assert!(error.problems().len() >= 3);
/// assert!(error.to_string().contains("client_secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One problem of a configuration; its `Display` says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A setting that has no default was not given.
    #[error("{setting} is missing: {remedy}")]
    #[non_exhaustive]
    Missing {
        /// The builder's method, and the environment variable where there is one.
        setting: &'static str,
        /// Where the value is to be had.
        remedy: &'static str,
    },
    /// A setting has a value that cannot work.
    #[error("{setting} {problem}: {remedy}")]
    #[non_exhaustive]
    Invalid {
        /// The builder's method, and the environment variable where there is one.
        setting: &'static str,
        /// What is wrong with the value; never the value of a secret.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// The order in which the documentation has the settings; others come after them.
const ORDER: [&str; 5] = ["client_id", "client_secret", "redirect_uri", "scope", "keyring"];

impl ConfigProblem {
    /// The setting that the problem is about.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Missing { setting, .. } | Self::Invalid { setting, .. } => setting,
        }
    }
}

impl ConfigError {
    /// The problems, in the order in which the documentation has the settings; never empty.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// Of problems in any order, at least one.
    pub(crate) fn of(mut problems: Vec<ConfigProblem>) -> Self {
        problems.sort_by_key(|problem| {
            ORDER.iter().position(|it| problem.setting().starts_with(it)).unwrap_or(ORDER.len())
        });
        Self { problems }
    }

    pub(crate) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "the Webflow configuration cannot work: {one}"),
            many => {
                write!(f, "the Webflow configuration has {} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

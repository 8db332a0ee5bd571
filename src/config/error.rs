//! Configuration errors.

use std::fmt;

/// Everything wrong with a configuration, found before the first request.
///
/// `Display` lists every problem and how to fix it. `Debug` prints the same, for a `main` that
/// returns the error.
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

/// A problem in the configuration. `Display` includes how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A required setting was not given.
    #[error("{setting} is missing: {remedy}")]
    #[non_exhaustive]
    Missing {
        /// The builder method, and the environment variable if there is one.
        setting: &'static str,
        /// Where to get the value.
        remedy: &'static str,
    },
    /// A setting has an invalid value.
    #[error("{setting} {problem}: {remedy}")]
    #[non_exhaustive]
    Invalid {
        /// The builder method, and the environment variable if there is one.
        setting: &'static str,
        /// What is wrong with the value. Never contains the value of a secret.
        problem: String,
        /// How to fix it.
        remedy: &'static str,
    },
}

/// The order of settings in the documentation; others come last.
const ORDER: [&str; 5] = ["client_id", "client_secret", "redirect_uri", "scope", "keyring"];

impl ConfigProblem {
    /// Returns the setting with the problem.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Missing { setting, .. } | Self::Invalid { setting, .. } => setting,
        }
    }
}

impl ConfigError {
    /// Returns the problems, sorted as in the documentation; never empty.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// Takes problems in any order; there must be at least one.
    pub(crate) fn from_problems(mut problems: Vec<ConfigProblem>) -> Self {
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
            [one] => write!(f, "invalid Webflow configuration: {one}"),
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

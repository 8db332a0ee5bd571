//! The doctor's report.

use std::borrow::Cow;
use std::fmt;

use crate::config::{ConfigError, ConfigProblem};

/// The result of [`WebflowAuthLayer::diagnose`](crate::WebflowAuthLayer::diagnose), one line per
/// check.
///
/// `Display` prints a table, with a suggested fix under every line that is not `ok`. It contains
/// neither the client secret nor a key. A store's error is shown verbatim.
///
/// ```
/// use tower_webflow_auth::{WebflowAuthLayer, doctor::Report};
///
/// let error = WebflowAuthLayer::builder().client_id("id").build().unwrap_err();
/// let report = Report::from(&error);
/// assert!(!report.is_ok());
/// assert!(report.to_string().contains("failed   keyring (WEBFLOW_AUTH_KEY)"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
}

/// One line of a [`Report`].
///
/// ```
/// use tower_webflow_auth::{WebflowAuthLayer, doctor::{Report, Status}};
///
/// let error = WebflowAuthLayer::builder().redirect_uri("http://a.example/cb").build().unwrap_err();
/// let report = Report::from(&error);
/// let check = report.get("redirect_uri (WEBFLOW_REDIRECT_URI)").unwrap();
/// assert_eq!((check.status(), check.finding()), (Status::Failed, "is not https"));
/// assert!(check.remedy().is_some_and(|remedy| remedy.starts_with("use https")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    status: Status,
    finding: Cow<'static, str>,
    remedy: Option<&'static str>,
}

/// The result of a [`Check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// No problem found.
    Ok,
    /// Works, but not suitable for production; or could not be checked.
    Warning,
    /// Logins cannot work.
    Failed,
}

impl Report {
    pub(super) const fn new(checks: Vec<Check>) -> Self {
        Self { checks }
    }

    /// Returns every check, in the order of the table.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Returns the check with this name. [`diagnose`](crate::WebflowAuthLayer::diagnose) reports
    /// `client`, `redirect_uri`, `scopes`, `endpoints`, `keyring`, `store`, `authorize page`,
    /// `token endpoint`, `clock`, `callback`, and, if the callback responded, `login path` and
    /// `logout path`. A report from a [`ConfigError`] is keyed by
    /// [`setting`](ConfigProblem::setting).
    pub fn get(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Whether no check failed. Warnings do not count.
    pub fn is_ok(&self) -> bool {
        self.count(Status::Failed) == 0
    }

    fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }
}

impl Check {
    pub(super) fn ok(name: &'static str, finding: impl Into<Cow<'static, str>>) -> Self {
        Self { name, status: Status::Ok, finding: finding.into(), remedy: None }
    }

    pub(super) fn warning(
        name: &'static str,
        finding: impl Into<Cow<'static, str>>,
        remedy: &'static str,
    ) -> Self {
        let finding = finding.into();
        Self { name, status: Status::Warning, finding, remedy: Some(remedy) }
    }

    pub(super) fn failed(
        name: &'static str,
        finding: impl Into<Cow<'static, str>>,
        remedy: &'static str,
    ) -> Self {
        let finding = finding.into();
        Self { name, status: Status::Failed, finding, remedy: Some(remedy) }
    }

    /// Returns what was checked, such as `callback`. Names are stable.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the result.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Returns what was found.
    pub fn finding(&self) -> &str {
        &self.finding
    }

    /// Returns how to fix it, or `None` if nothing is wrong.
    pub const fn remedy(&self) -> Option<&'static str> {
        self.remedy
    }
}

/// Every problem of the configuration as a failed check.
impl From<&ConfigError> for Report {
    fn from(error: &ConfigError) -> Self {
        let line = |problem: &ConfigProblem| match problem {
            ConfigProblem::Missing { setting, remedy } => {
                Check::failed(setting, "is missing", remedy)
            }
            ConfigProblem::Invalid { setting, problem, remedy } => {
                Check::failed(setting, problem.clone(), remedy)
            }
        };
        Self::new(error.problems().iter().map(line).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for Check { name, status, finding, remedy } in &self.checks {
            // May contain an address or a store's error, which must not start new lines.
            let finding = finding.replace(char::is_control, " ");
            writeln!(f, "{status:<8} {name:<width$}  {finding}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "{:8} {:width$}  -> {remedy}", "", "")?;
            }
        }
        let (ok, failed) = (self.count(Status::Ok), self.count(Status::Failed));
        let (warnings, s) = match self.count(Status::Warning) {
            1 => (1, ""),
            other => (other, "s"),
        };
        write!(f, "{ok} ok, {warnings} warning{s}, {failed} failed")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_remedy_under_each_line_that_is_not_ok() {
        let report = Report::new(vec![
            Check::ok("client", "id abc"),
            Check::warning("store", "in memory\nonly", "set a store"),
            Check::failed("callback", "answers 404", "mount the endpoints"),
        ]);
        assert!(!report.is_ok());
        assert_eq!(
            report.to_string(),
            "ok       client    id abc\n\
             warning  store     in memory only\n\
             \x20                  -> set a store\n\
             failed   callback  answers 404\n\
             \x20                  -> mount the endpoints\n\
             1 ok, 1 warning, 1 failed"
        );
    }
}

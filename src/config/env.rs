//! The builder, filled from environment variables.

use std::env::{self, VarError};

use super::{ConfigError, ConfigProblem, WebflowAuthBuilder};
use crate::crypto::keyring::Keyring;
use crate::grant::scope::Scopes;
use crate::webflow::Endpoints;

impl WebflowAuthBuilder {
    /// See [`WebflowAuthLayer::from_env`](crate::WebflowAuthLayer::from_env).
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut read = |name: &'static str| match env::var(name) {
            Ok(value) if !value.trim().is_empty() => Some(value.trim().to_owned()),
            Ok(_) | Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                problems.push(ConfigProblem::Invalid {
                    setting: name,
                    problem: "is not valid Unicode".to_owned(),
                    remedy: "set it to plain text",
                });
                None
            }
        };
        let mut builder = Self::new();
        if let Some(id) = read("WEBFLOW_CLIENT_ID") {
            builder = builder.client_id(id);
        }
        if let Some(secret) = read("WEBFLOW_CLIENT_SECRET") {
            builder = builder.client_secret(secret);
        }
        if let Some(uri) = read("WEBFLOW_REDIRECT_URI") {
            builder = builder.redirect_uri(uri);
        }
        if let Some(id) = read("WEBFLOW_APP_ID") {
            builder = builder.application_id(id);
        }
        if let Some(scopes) = read("WEBFLOW_SCOPES") {
            builder = builder.scopes_from_text(&scopes);
        }
        if let Some(keys) = read("WEBFLOW_AUTH_KEY") {
            builder = builder.keyring_from_text(&keys);
        }
        if let Some(base) = read("WEBFLOW_BASE_URL") {
            builder = builder.endpoints_from_text(&base);
        }
        if problems.is_empty() { Ok(builder) } else { Err(ConfigError::from_problems(problems)) }
    }

    fn scopes_from_text(mut self, scopes: &str) -> Self {
        match scopes.parse::<Scopes>() {
            Ok(scopes) => self.scopes(scopes),
            Err(error) => {
                self.problems.extend(error.into_problems().into_iter().map(as_scopes_problem));
                self
            }
        }
    }

    fn keyring_from_text(mut self, keys: &str) -> Self {
        match Keyring::from_base64(keys) {
            Ok(keyring) => self.keyring(keyring),
            Err(error) => {
                self.problems.extend(error.into_problems());
                self
            }
        }
    }

    fn endpoints_from_text(mut self, base: &str) -> Self {
        match Endpoints::at(base) {
            Ok(endpoints) => self.endpoints(endpoints),
            Err(error) => {
                self.problems.extend(error.into_problems());
                self
            }
        }
    }
}

/// Attributes the problem of a single scope to the `scopes` setting.
fn as_scopes_problem(problem: ConfigProblem) -> ConfigProblem {
    match problem {
        ConfigProblem::Invalid { problem, remedy, .. } => {
            ConfigProblem::Invalid { setting: "scopes (WEBFLOW_SCOPES)", problem, remedy }
        }
        other @ ConfigProblem::Missing { .. } => other,
    }
}

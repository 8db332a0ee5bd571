//! The builder, filled from environment variables.

use std::env::{self, VarError};

use super::{ConfigError, ConfigProblem, WebflowAuthBuilder};

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
}

//! Logins that the application's own handlers start.

use std::fmt;

use http::request::Parts;
use serde::Serialize;

use super::authorize::{Start, begin as redirect};
use super::check_signed_in;
use crate::context::Context;
use crate::grant::scope::{Scope, Scopes};
use crate::problem::Answer;

/// The most data that a flow carries, in bytes of JSON, since its cookie contains it.
const MAX_DATA_LEN: usize = 1024;

/// A login that the application starts itself; see [`begin`](crate::WebflowAuthLayer::begin).
#[derive(Default)]
#[must_use = "pass it to `WebflowAuthLayer::begin` to start the login"]
pub struct Login {
    return_to: Option<String>,
    scopes: Scopes,
    data: Option<Result<String, serde_json::Error>>,
}

impl Login {
    /// Creates a login that requests the configured scopes and returns to `/`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The path of the application to return to afterwards. Any other value counts as `/`.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        self.return_to = Some(path.into());
        self
    }

    /// Scopes to request in addition to the configured ones.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// Data for [`on_authorized`](crate::config::WebflowAuthBuilder::on_authorized), up to 1 KiB of
    /// JSON. The flow's cookie carries it, encrypted.
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = Some(serde_json::to_string(data));
        self
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("return_to", &self.return_to)
            .field("scopes", &self.scopes.to_string())
            .finish_non_exhaustive()
    }
}

/// Why a login could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The data is longer than 1 KiB of JSON. Pass an ID, and keep the rest in the application.
    #[error("the login's data has {len} bytes of JSON; at most {MAX_DATA_LEN} fit into its cookie")]
    DataTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The data cannot be serialized.
    #[error("the login's data cannot be serialized")]
    Data(#[source] serde_json::Error),
    /// The token store failed a moment ago, so a grant could not be stored.
    #[error("the token store is not available")]
    Store,
    /// The application's [`SubjectResolver`](crate::SubjectResolver) failed. This is logged.
    #[error("the application's subject lookup failed")]
    Subject,
}

/// The response that starts the login, or a 401 if nobody is signed in to the application.
pub async fn begin(context: &Context, parts: &Parts, login: Login) -> Result<Answer, BeginError> {
    let data = login.data.transpose().map_err(BeginError::Data)?;
    if let Some(len) = data.as_ref().map(String::len).filter(|len| *len > MAX_DATA_LEN) {
        return Err(BeginError::DataTooLong { len });
    }
    if context.vault.has_just_failed() {
        return Err(BeginError::Store);
    }
    let who = context.who(parts).await.map_err(|_| BeginError::Subject)?;
    let head = context.head(parts);
    let answer = check_signed_in(context, who).and_then(|who| {
        // The retry links of error pages request these scopes at the login path.
        context.allow_scopes(&login.scopes);
        let scopes = context.scopes.union(&login.scopes);
        let return_to = context.return_to(login.return_to.as_deref().unwrap_or("/"));
        let start = Start { data, ..Start::login(context, &scopes, return_to, &who) };
        redirect(context, &head, start)
    });
    Ok(answer.unwrap_or_else(|problem| context.fail(&problem, &head)))
}

//! A flow that the application's own handler begins.

use std::fmt;

use http::request::Parts;
use serde::Serialize;

use super::allowed;
use super::authorize::{Start, begin as redirect};
use crate::context::Context;
use crate::grant::scope::{Scope, Scopes};
use crate::problem::Answer;

/// The longest data that a flow carries, in bytes of JSON: it is in the flow's cookie.
const MAX_DATA_LEN: usize = 1024;

/// A login that the application begins itself; see
/// [`begin`](crate::WebflowAuthLayer::begin).
#[derive(Default)]
#[must_use = "it begins when `WebflowAuthLayer::begin` gets it"]
pub struct Login {
    return_to: Option<String>,
    scopes: Scopes,
    data: Option<Result<String, serde_json::Error>>,
}

impl Login {
    /// A login with the configured scopes, which ends at `/`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the browser goes afterwards: a path of the application. Anything else counts as `/`.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        self.return_to = Some(path.into());
        self
    }

    /// Scopes to ask for in addition to the configured ones.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// What [`on_authorized`](crate::config::WebflowAuthBuilder::on_authorized) gets with the grant: up to
    /// 1 KiB of JSON. It travels in the flow's cookie, encrypted.
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

/// Why a login could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The data has more than 1 KiB as JSON: give an ID, and keep the rest in the application.
    #[error("the login's data has {len} bytes of JSON; at most {MAX_DATA_LEN} fit into its cookie")]
    DataTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The data cannot be serialized.
    #[error("the login's data cannot be serialized")]
    Data(#[source] serde_json::Error),
    /// The token store failed a moment ago: the user would give consent for nothing.
    #[error("the token store is not available")]
    Store,
    /// The application's [`SubjectResolver`](crate::SubjectResolver) failed, which was logged.
    #[error("the application's subject lookup failed")]
    Subject,
}

/// The response that begins the login, or a 401 if nobody is signed in to the application.
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
    let answer = allowed(context, who).and_then(|who| {
        // Links to try again name the scopes as well.
        context.allow_scopes(&login.scopes);
        let scopes = context.scopes.union(&login.scopes);
        let return_to = context.return_to(login.return_to.as_deref().unwrap_or("/"));
        let start = Start { data, ..Start::login(context, &scopes, return_to, &who) };
        redirect(context, &head, start)
    });
    Ok(answer.unwrap_or_else(|problem| context.fail(&problem, &head)))
}

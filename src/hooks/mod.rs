//! Arguments of the builder's hooks:
//! [`on_authorized`](crate::config::WebflowAuthBuilder::on_authorized),
//! [`on_error`](crate::config::WebflowAuthBuilder::on_error) and
//! [`on_revoked`](crate::config::WebflowAuthBuilder::on_revoked).
//!
//! A panic of a hook is caught and logged. Asynchronous hooks have a time limit of 10 seconds.

mod authorized;
mod revoked;

use std::borrow::Cow;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::timeout;

use crate::identity::resolver::CatchPanic;
pub use crate::problem::FailureKind;
use crate::problem::{Answer, Problem, guard_headers};
use crate::util::log;
use crate::wire::request_head::RequestHead;

pub use authorized::{NewGrant, Next};
pub use revoked::{Gone, Why};

pub(crate) use authorized::{OnAuthorized, Refused, is_webflow_page};
pub(crate) use revoked::OnRevoked;

/// The time limit of an asynchronous hook.
const BUDGET: Duration = Duration::from_secs(10);

type OnError = dyn Fn(&AuthFailure) -> Option<Response<Bytes>> + Send + Sync;

/// The application's hooks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) authorized: Option<Arc<OnAuthorized>>,
    pub(crate) error: Option<Arc<OnError>>,
    pub(crate) revoked: Option<Arc<OnRevoked>>,
}

/// A refusal or failure to which the crate itself responds, as
/// [`on_error`](crate::config::WebflowAuthBuilder::on_error) receives it.
#[derive(Debug, Clone)]
pub struct AuthFailure {
    kind: FailureKind,
    status: StatusCode,
    title: &'static str,
    detail: Cow<'static, str>,
    login_url: Option<String>,
    wants_page: bool,
}

impl AuthFailure {
    /// What happened; `as_str` is the last segment of the problem's `type` URN.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// A headline for the user.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// A sentence for the user.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The path at which the user can try again. It is percent-encoded and safe in a double-quoted
    /// HTML attribute; in single quotes it must be escaped like any text.
    pub fn login_url(&self) -> Option<&str> {
        self.login_url.as_deref()
    }

    /// Whether the response should be a page rather than `problem+json`.
    pub const fn wants_page(&self) -> bool {
        self.wants_page
    }
}

impl Hooks {
    /// The response to a problem: that of `on_error` with the security headers added, otherwise the
    /// crate's own.
    pub(crate) fn answer(&self, problem: &Problem, head: &RequestHead<'_>) -> Answer {
        let own = || problem.respond(head);
        let Some(hook) = &self.error else { return own() };
        let failure = AuthFailure {
            kind: problem.kind,
            status: problem.status,
            title: problem.title,
            detail: problem.detail.clone(),
            login_url: problem.login_url.clone(),
            wants_page: head.wants_page(),
        };
        match guarded("on_error", || hook(&failure)).flatten() {
            Some(mut answer) => {
                guard_headers(answer.headers_mut());
                problem.complete(&mut answer, head);
                answer
            }
            None => own(),
        }
    }
}

/// Runs an asynchronous hook. If it panics or exceeds [`BUDGET`], logs that and returns `None`.
async fn run<T>(name: &'static str, hook: impl Future<Output = T>) -> Option<T> {
    match timeout(BUDGET, CatchPanic(Box::pin(hook))).await {
        Ok(Some(outcome)) => Some(outcome),
        Ok(None) => {
            panicked(name);
            None
        }
        Err(_) => {
            tracing::error!(
                target: log::APPLICATION, hook = name, budget = ?BUDGET,
                "the application's hook took too long and was dropped"
            );
            None
        }
    }
}

fn panicked(hook: &'static str) {
    tracing::error!(target: log::APPLICATION, hook, "the application's hook panicked");
}

fn guarded<T>(name: &'static str, hook: impl FnOnce() -> T) -> Option<T> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(hook));
    if outcome.is_err() {
        panicked(name);
    }
    outcome.ok()
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("authorized", &self.authorized.is_some())
            .field("error", &self.error.is_some())
            .field("revoked", &self.revoked.is_some())
            .finish()
    }
}

//! Application callbacks: `on_authorized`, `on_error`, `on_revoked`.

use std::borrow::Cow;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::grant::token::WebflowToken;
use crate::problem::{Answer, FailureKind, Problem, guard_headers};
use crate::util::log;
use crate::wire::request_head::RequestHead;

type OnAuthorized = dyn Fn(&Authorized) + Send + Sync;
type OnError = dyn Fn(&AuthFailure) -> Option<Response<Bytes>> + Send + Sync;
type OnRevoked = dyn Fn(&WebflowToken) + Send + Sync;

/// The application's hooks; a panic in one is logged and changes nothing.
#[derive(Clone, Default)]
pub struct Hooks {
    pub authorized: Option<Arc<OnAuthorized>>,
    pub error: Option<Arc<OnError>>,
    pub revoked: Option<Arc<OnRevoked>>,
}

/// A grant that has just been stored.
#[derive(Debug, Clone)]
pub struct Authorized {
    token: WebflowToken,
    first: bool,
}

impl Authorized {
    /// The new grant.
    pub const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// Whether the subject, or the browser's former session, had no grant before.
    pub const fn is_first(&self) -> bool {
        self.first
    }
}

/// A refusal or failure that the crate answers by itself.
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

    /// The status of the answer.
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

    /// Where the user can try again: a path, percent-encoded so that it can stand in double quotes.
    /// In single quotes it has to be escaped like any text.
    pub fn login_url(&self) -> Option<&str> {
        self.login_url.as_deref()
    }

    /// Whether the answer should be a page rather than `problem+json`.
    pub const fn wants_page(&self) -> bool {
        self.wants_page
    }
}

impl Hooks {
    pub fn authorized(&self, token: &WebflowToken, first: bool) {
        if let Some(hook) = &self.authorized {
            let authorized = Authorized { token: token.clone(), first };
            guarded("on_authorized", || hook(&authorized));
        }
    }

    pub fn revoked(&self, token: &WebflowToken) {
        if let Some(hook) = &self.revoked {
            guarded("on_revoked", || hook(token));
        }
    }

    /// The crate's response to a problem, or the application's in its place, which gets the
    /// headers that keep it out of caches, too.
    pub fn answer(&self, problem: &Problem, head: &RequestHead<'_>) -> Answer {
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

fn guarded<T>(name: &'static str, hook: impl FnOnce() -> T) -> Option<T> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(hook));
    if outcome.is_err() {
        tracing::error!(target: log::APPLICATION, hook = name, "the application's hook panicked");
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

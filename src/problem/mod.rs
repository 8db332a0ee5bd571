//! Errors that users see, as a page or as problem details (RFC 9457).
//!
//! Every text is in [`catalog`]. Nothing here knows the layer or its state.

pub mod catalog;
mod kind;
mod page;
#[cfg(test)]
mod pages_test;
mod respond;

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

pub use kind::FailureKind;
pub use respond::{Answer, HasPage, answer, guard_headers};

/// A refusal or failure, worded for the application's users.
#[derive(Debug, Clone)]
pub struct Problem {
    pub kind: FailureKind,
    pub status: StatusCode,
    pub title: &'static str,
    pub detail: Cow<'static, str>,
    /// Where the user can try again.
    pub login_url: Option<String>,
    /// The text of the page's link to `login_url`.
    pub link_text: &'static str,
    /// Whether the page links to itself if there is no `login_url`.
    pub retry_here: bool,
    /// Possible causes, each with its remedy. On the page they replace the detail.
    pub causes: &'static [(&'static str, &'static str)],
    pub retry_after: Option<Duration>,
    /// The scopes that the grant lacks.
    pub missing_scopes: Option<String>,
    /// The methods that the path accepts.
    pub allow: Option<&'static str>,
}

impl Problem {
    pub fn new(
        kind: FailureKind,
        status: StatusCode,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            status,
            title,
            detail: detail.into(),
            login_url: None,
            link_text: "Try again",
            retry_here: false,
            causes: &[],
            retry_after: None,
            missing_scopes: None,
            allow: None,
        }
    }

    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.login_url = Some(url.into());
        self
    }

    /// Whether Webflow has refused the authorization code.
    pub fn is_refused_code(&self) -> bool {
        self.kind == FailureKind::InvalidGrant
    }

    /// Sets the login URL unless there is one.
    pub fn or_login_url(mut self, url: impl FnOnce() -> String) -> Self {
        self.login_url.get_or_insert_with(url);
        self
    }

    pub const fn link_text(mut self, text: &'static str) -> Self {
        self.link_text = text;
        self
    }

    pub const fn retry_here(mut self, yes: bool) -> Self {
        self.retry_here = yes;
        self
    }

    pub const fn causes(mut self, causes: &'static [(&'static str, &'static str)]) -> Self {
        self.causes = causes;
        self
    }

    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

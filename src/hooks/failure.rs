//! What `on_error` receives, and the page that it may return.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::FailureKind;
use crate::problem::{Look, Problem, Style, Texts};
use crate::wire::request_head::RequestHead;

/// A refusal or failure to which the crate itself responds, as
/// [`on_error`](crate::config::WebflowAuthBuilder::on_error) receives it.
#[derive(Clone)]
pub struct AuthFailure {
    problem: Problem,
    wants_page: bool,
    framed: bool,
    style: Arc<Style>,
}

impl AuthFailure {
    pub(super) fn new(problem: &Problem, head: &RequestHead<'_>, style: &Arc<Style>) -> Self {
        Self {
            problem: problem.clone(),
            wants_page: head.wants_page(),
            framed: head.is_framed(),
            style: Arc::clone(style),
        }
    }

    /// What happened; `as_str` is the last segment of the problem's `type` URN.
    pub const fn kind(&self) -> FailureKind {
        self.problem.kind
    }

    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        self.problem.status
    }

    /// A headline for the user.
    pub const fn title(&self) -> &str {
        self.problem.title
    }

    /// A sentence for the user.
    pub fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// The path at which the user can try again. It is percent-encoded and safe in a double-quoted
    /// HTML attribute; in single quotes it must be escaped like any text.
    pub fn login_url(&self) -> Option<&str> {
        self.problem.login_url.as_deref()
    }

    /// Whether the response should be a page rather than `problem+json`.
    pub const fn wants_page(&self) -> bool {
        self.wants_page
    }

    /// Returns the crate's page for this failure, to be changed: for translations.
    pub fn page(&self) -> ErrorPage {
        ErrorPage { failure: self.clone(), lang: Cow::Borrowed("en"), texts: Texts::default() }
    }
}

impl fmt::Debug for AuthFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFailure")
            .field("kind", &self.kind())
            .field("status", &self.status())
            .field("title", &self.title())
            .field("detail", &self.detail())
            .field("login_url", &self.login_url())
            .field("wants_page", &self.wants_page)
            .finish_non_exhaustive()
    }
}

/// The crate's page with other texts. Created by [`AuthFailure::page`].
///
/// It keeps the style, the link, the status and the headers of the original. Texts are escaped.
///
/// ```
/// use tower_webflow_auth::{WebflowAuthLayer, hooks::FailureKind};
///
/// let builder = WebflowAuthLayer::builder().on_error(|failure| {
///     let page = failure.page().lang("de").link_text("Noch einmal versuchen");
///     let page = match failure.kind() {
///         FailureKind::AccessDenied => page
///             .title("Webflow ist nicht verbunden")
///             .detail("Sie haben bei Webflow abgelehnt. Es hat sich nichts ge\u{e4}ndert."),
///         _ => return None,
///     };
///     failure.wants_page().then(|| page.into_response())
/// });
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `into_response` and return the response from `on_error`"]
pub struct ErrorPage {
    failure: AuthFailure,
    lang: Cow<'static, str>,
    texts: Texts,
}

impl ErrorPage {
    /// Sets the language of the texts, as a language tag (RFC 5646). The default is `en`.
    pub fn lang(mut self, tag: impl Into<Cow<'static, str>>) -> Self {
        self.lang = tag.into();
        self
    }

    /// Sets the headline.
    pub fn title(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.texts.title = Some(text.into());
        self
    }

    /// Sets the sentence below the headline. It also replaces the list of possible causes.
    pub fn detail(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.texts.detail = Some(text.into());
        self
    }

    /// Sets the text of the link.
    pub fn link_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.texts.link = Some(text.into());
        self
    }

    /// Renders the page.
    pub fn into_response(self) -> Response<Bytes> {
        let AuthFailure { problem, framed, style, .. } = &self.failure;
        let texts = Some(&self.texts);
        problem.page(&Look { style, lang: &self.lang, framed: *framed, texts })
    }
}

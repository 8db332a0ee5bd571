//! The rejection of the token extractors.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::gate::challenge::{login_required, return_to};
use crate::gate::guard::Guard;
use crate::grant::scope::Scope;
use crate::grant::token::WebflowToken;
use crate::problem::{Answer, HasPage, catalog};

/// Why [`WebflowToken`](crate::WebflowToken) or [`WebflowUser`](crate::WebflowUser) could not be
/// extracted.
///
/// As a response it is a 500 with a hint if the route has no layer, and the challenge's 401 if
/// there is no token, which happens behind [`optional`](crate::WebflowAuthLayer::optional). If the
/// grant's user is unknown, it is a 403 without the scope `authorized_user:read`, and otherwise a
/// 503 with `Retry-After`.
#[derive(Debug)]
pub struct WebflowTokenRejection {
    reason: RejectionReason,
    answer: Box<Answer>,
}

/// The reason for a [`WebflowTokenRejection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The route has no layer, which is a mistake in the router.
    LayerMissing,
    /// The user has not connected Webflow.
    NotConnected,
    /// The grant lacks the scope `authorized_user:read`, so its Webflow user is not known.
    MissingScope,
    /// The grant's Webflow user could not be looked up yet.
    UserPending,
    /// The request has no bearer of a panel.
    #[cfg(feature = "panels")]
    BearerRequired,
}

impl WebflowTokenRejection {
    pub(crate) fn layer_missing() -> Self {
        let answer = Box::new(catalog::extract::layer_missing(LAYER_MISSING).json());
        Self { reason: RejectionReason::LayerMissing, answer }
    }

    pub(crate) fn not_connected(guard: &Guard, parts: &Parts) -> Self {
        let context = &guard.context;
        let head = context.head(parts);
        let problem = login_required(context, &return_to(context, &head), None);
        let mut answer = Box::new(problem.json());
        problem.complete(&mut answer, &head);
        Self { reason: RejectionReason::NotConnected, answer }
    }

    /// An `OPTIONS` request, which never carries a token.
    pub(crate) fn preflight() -> Self {
        let answer = Box::new(catalog::extract::options_without_token().json());
        Self { reason: RejectionReason::NotConnected, answer }
    }

    /// The grant's user is unknown, because the scope is missing or Webflow has not answered yet.
    pub(crate) fn without_user(token: &WebflowToken) -> Self {
        let scope = Scope::AUTHORIZED_USER_READ;
        let (reason, problem) = if token.scopes().contains(&scope) {
            (RejectionReason::UserPending, catalog::extract::user_pending())
        } else {
            let problem = catalog::missing_scopes(scope.to_string());
            (RejectionReason::MissingScope, problem)
        };
        let mut answer = Box::new(problem.json());
        answer.extensions_mut().insert(HasPage(Arc::new(problem)));
        Self { reason, answer }
    }

    /// A request without a panel's bearer.
    #[cfg(feature = "panels")]
    pub(crate) fn without_bearer() -> Self {
        let answer = Box::new(catalog::panel::bearer_required().json());
        Self { reason: RejectionReason::BearerRequired, answer }
    }

    /// Returns the reason.
    pub const fn reason(&self) -> RejectionReason {
        self.reason
    }

    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }
}

const LAYER_MISSING: &str = "add `.layer(auth.clone())` or `.layer(auth.optional())` after the \
     route: an axum layer wraps only routes added before it";

impl fmt::Display for WebflowTokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            RejectionReason::LayerMissing => {
                write!(f, "WebflowAuthLayer is missing on this route: {LAYER_MISSING}")
            }
            RejectionReason::NotConnected => f.write_str("the user has not connected Webflow"),
            RejectionReason::MissingScope => {
                f.write_str("the grant lacks the scope authorized_user:read")
            }
            RejectionReason::UserPending => f.write_str("the grant's user is not known yet"),
            #[cfg(feature = "panels")]
            RejectionReason::BearerRequired => f.write_str("the request has no panel's bearer"),
        }
    }
}

impl std::error::Error for WebflowTokenRejection {}

impl IntoResponse for WebflowTokenRejection {
    fn into_response(self) -> Response {
        self.answer.map(Body::from)
    }
}

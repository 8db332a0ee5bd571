//! Why a handler does not get its token.

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
/// As a response it is 500 with a hint when the layer is missing on the route, and the challenge's
/// 401 when there is no token, which happens behind
/// [`optional`](crate::WebflowAuthLayer::optional). When the grant's user is not known, it is 403
/// without the scope `authorized_user:read`, and 503 with `Retry-After` until Webflow has told.
#[derive(Debug)]
pub struct WebflowTokenRejection {
    reason: WebflowTokenRejectionReason,
    answer: Box<Answer>,
}

/// What kind of rejection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebflowTokenRejectionReason {
    /// No layer has seen the request: a mistake in the router.
    LayerMissing,
    /// The request's user has not connected Webflow.
    NotConnected,
    /// The grant lacks the scope `authorized_user:read`, so its Webflow user is not known.
    MissingScope,
    /// Webflow could not be asked yet who gave the grant.
    UserPending,
    /// The request has no bearer of a panel.
    #[cfg(feature = "panels")]
    BearerRequired,
}

impl WebflowTokenRejection {
    pub(crate) fn layer_missing() -> Self {
        let answer = Box::new(catalog::extract::layer_missing(LAYER_MISSING).json());
        Self { reason: WebflowTokenRejectionReason::LayerMissing, answer }
    }

    pub(crate) fn not_connected(guard: &Guard, parts: &Parts) -> Self {
        let context = &guard.context;
        let head = context.head(parts);
        let problem = login_required(context, &return_to(context, &head), None);
        let mut answer = Box::new(problem.json());
        problem.complete(&mut answer, &head);
        Self { reason: WebflowTokenRejectionReason::NotConnected, answer }
    }

    /// An `OPTIONS` request, which never carries a token.
    pub(crate) fn preflight() -> Self {
        let answer = Box::new(catalog::extract::options_without_token().json());
        Self { reason: WebflowTokenRejectionReason::NotConnected, answer }
    }

    /// The grant's user is not known: for want of the scope, or for now.
    pub(crate) fn without_user(token: &WebflowToken) -> Self {
        let scope = Scope::AUTHORIZED_USER_READ;
        let (reason, problem) = if token.scopes().contains(&scope) {
            (WebflowTokenRejectionReason::UserPending, catalog::extract::user_pending())
        } else {
            let problem = catalog::missing_scopes(scope.to_string());
            (WebflowTokenRejectionReason::MissingScope, problem)
        };
        let mut answer = Box::new(problem.json());
        answer.extensions_mut().insert(HasPage(Arc::new(problem)));
        Self { reason, answer }
    }

    /// A request without a panel's bearer.
    #[cfg(feature = "panels")]
    pub(crate) fn without_bearer() -> Self {
        let answer = Box::new(catalog::panel::bearer_required().json());
        Self { reason: WebflowTokenRejectionReason::BearerRequired, answer }
    }

    /// What kind of rejection it is.
    pub const fn reason(&self) -> WebflowTokenRejectionReason {
        self.reason
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }
}

const LAYER_MISSING: &str = "add `.layer(auth.clone())` or `.layer(auth.optional())` after the \
     route: a layer of axum's wraps the routes that were added before it";

impl fmt::Display for WebflowTokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            WebflowTokenRejectionReason::LayerMissing => {
                write!(f, "WebflowAuthLayer is missing on this route: {LAYER_MISSING}")
            }
            WebflowTokenRejectionReason::NotConnected => {
                f.write_str("the user has not connected Webflow")
            }
            WebflowTokenRejectionReason::MissingScope => {
                f.write_str("the grant lacks the scope authorized_user:read")
            }
            WebflowTokenRejectionReason::UserPending => {
                f.write_str("the grant's user is not known yet")
            }
            #[cfg(feature = "panels")]
            WebflowTokenRejectionReason::BearerRequired => {
                f.write_str("the request has no panel's bearer")
            }
        }
    }
}

impl std::error::Error for WebflowTokenRejection {}

impl IntoResponse for WebflowTokenRejection {
    fn into_response(self) -> Response {
        self.answer.map(Body::from)
    }
}

//! Extractors and responses for axum.
//!
//! [`WebflowToken`], `Option<WebflowToken>`, [`WebflowGrants`] and [`WebflowUser`] are extractors.
//! [`ApiError`](crate::api::ApiError) and [`Reauthorize`](crate::middleware::Reauthorize) are
//! responses.

mod into_response;
pub(crate) mod rejection;

use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::Method;
use http::request::Parts;

pub use rejection::RejectionReason;
use rejection::WebflowTokenRejection;

#[cfg(feature = "panels")]
use crate::bearer::session::PanelSession;
use crate::gate::guard::Guard;
use crate::grant::token::{WebflowGrants, WebflowToken};
use crate::grant::user::WebflowUser;
use crate::util::log;

impl<S: Sync> FromRequestParts<S> for WebflowToken {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        required(parts)
    }
}

/// `None` if the user has not connected Webflow. A missing layer is an error even here, because it
/// would otherwise look like users who never connect.
impl<S: Sync> OptionalFromRequestParts<S> for WebflowToken {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        extract(parts)
    }
}

/// The panel's user if the request carries a panel's bearer, otherwise the user who authorized the
/// request's grant.
///
/// If that user is unknown, the rejection is a 403 `missing-scopes` for a grant without
/// `authorized_user:read`, and otherwise a 503 with `Retry-After`.
impl<S: Sync> FromRequestParts<S> for WebflowUser {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        #[cfg(feature = "panels")]
        if let Some(session) = PanelSession::of(&parts.extensions) {
            return Ok(session.user.clone());
        }
        let token = required(parts)?;
        token.user().cloned().ok_or_else(|| WebflowTokenRejection::without_user(&token))
    }
}

/// `None` if the user has not connected Webflow, or is not known.
impl<S: Sync> OptionalFromRequestParts<S> for WebflowUser {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        #[cfg(feature = "panels")]
        if let Some(session) = PanelSession::of(&parts.extensions) {
            return Ok(Some(session.user.clone()));
        }
        Ok(extract(parts)?.and_then(|token| token.user().cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for WebflowGrants {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let token = extract(parts)?;
        let grants = parts.extensions.get::<Self>();
        // Ignore grants from another application's layer.
        let ours = |grants: &&Self| {
            let token = token.as_ref();
            grants.iter().all(|grant| token.is_none_or(|token| grant.belongs_to(token.client())))
        };
        Ok(grants.filter(ours).cloned().unwrap_or_else(|| Self(token.into_iter().collect())))
    }
}

#[cfg(feature = "panels")]
impl<S: Sync> FromRequestParts<S> for PanelSession {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        session(parts)?.ok_or_else(WebflowTokenRejection::without_bearer)
    }
}

/// `None` if the request has no panel's bearer.
#[cfg(feature = "panels")]
impl<S: Sync> OptionalFromRequestParts<S> for PanelSession {
    type Rejection = WebflowTokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        session(parts)
    }
}

/// A missing layer is an error, as for the token.
#[cfg(feature = "panels")]
fn session(parts: &Parts) -> Result<Option<PanelSession>, WebflowTokenRejection> {
    extract(parts).map(|_| PanelSession::of(&parts.extensions).cloned())
}

fn required(parts: &Parts) -> Result<WebflowToken, WebflowTokenRejection> {
    extract(parts)?.ok_or_else(|| match parts.extensions.get::<Arc<Guard>>() {
        Some(guard) => WebflowTokenRejection::not_connected(guard, parts),
        None => WebflowTokenRejection::preflight(),
    })
}

fn extract(parts: &Parts) -> Result<Option<WebflowToken>, WebflowTokenRejection> {
    if let Some(token) = parts.extensions.get::<WebflowToken>() {
        return Ok(Some(token.clone()));
    }
    if parts.extensions.get::<Arc<Guard>>().is_some() || parts.method == Method::OPTIONS {
        return Ok(None);
    }
    let rejection = WebflowTokenRejection::layer_missing();
    tracing::error!(target: log::APPLICATION, path = parts.uri.path(), "{rejection}");
    Err(rejection)
}

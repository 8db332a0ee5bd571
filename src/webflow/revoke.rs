//! Revocation: a token ends at Webflow.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::call::{self, Reply};
use super::{CallError, WebflowClient};

#[derive(Serialize)]
struct Request<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    access_token: &'a str,
}

/// Why a token could not be revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    #[error("Webflow answered the revocation with status {status}, error code {code:?}")]
    Status { status: u16, code: Option<String> },
    #[error(transparent)]
    Call(#[from] CallError),
}

impl WebflowClient {
    /// Revokes a token (Webflow Data API, OAuth, *Revoke an access token*; not RFC 7009: other
    /// host, JSON). A token that Webflow does not know any more counts as revoked.
    pub(crate) async fn revoke(&self, token: &SecretString) -> Result<(), RevokeError> {
        let body = Request {
            client_id: &self.client_id,
            client_secret: self.client_secret.expose_secret(),
            access_token: token.expose_secret(),
        };
        let request = call::post(&self.http, self.endpoints.revoke(), &body);
        outcome(&call::call(request, self.budget).await?)
    }
}

pub(super) fn outcome(reply: &Reply) -> Result<(), RevokeError> {
    let code = reply.error_code();
    if code.as_deref() == Some("invalid_token") || (reply.status.is_success() && code.is_none()) {
        return Ok(());
    }
    Err(RevokeError::Status { status: reply.status.as_u16(), code })
}

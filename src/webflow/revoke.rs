//! Token revocation.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::call;
use super::call::Reply;
use super::{CallError, WebflowClient};
use crate::util::background::Tasks;

#[derive(Serialize)]
struct Request<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    access_token: &'a str,
}

/// Why a revocation failed.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    #[error("Webflow responded to the revocation with status {status}, error code {code:?}")]
    Status { status: u16, code: Option<String> },
    #[error(transparent)]
    Call(#[from] CallError),
}

impl WebflowClient {
    /// Revokes a token (Webflow Data API, OAuth, *Revoke an access token*; not RFC 7009: a
    /// different host, and JSON). A token that Webflow does not know counts as revoked.
    pub async fn revoke(&self, token: &SecretString) -> Result<(), RevocationError> {
        let body = Request {
            client_id: &self.client_id,
            client_secret: self.client_secret.expose_secret(),
            access_token: token.expose_secret(),
        };
        let request = call::post(&self.http, self.endpoints.revoke(), &body);
        outcome(&call::call(request, self.budget).await?)
    }

    /// Retries a failed revocation in the background; pending retries are lost with the process.
    pub fn retry_revocation(self: Arc<Self>, tasks: &Tasks, token: SecretString) {
        tasks.retry_later("a revocation", move || {
            let (webflow, token) = (Arc::clone(&self), token.clone());
            async move { webflow.revoke(&token).await.is_ok() }
        });
    }
}

pub fn outcome(reply: &Reply) -> Result<(), RevocationError> {
    let code = reply.error_code();
    // Even a proxy's page may be a 200: only `did_revoke` proves that Webflow revoked it.
    let did = || reply.json()?.get("did_revoke")?.as_bool();
    let gone = code.as_deref() == Some("invalid_token");
    if gone || reply.status.is_success() && code.is_none() && did() == Some(true) {
        return Ok(());
    }
    Err(RevocationError::Status { status: reply.status.as_u16(), code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn only_did_revoke_proves_a_revocation() {
        for (expected, status, body) in [
            (true, 200, r#"{"did_revoke": true}"#),
            (true, 400, r#"{"error": "invalid_token"}"#),
            (false, 200, r#"{"did_revoke": false}"#),
            (false, 200, "{}"),
            (false, 200, "<html>a proxy's own page</html>"),
            (false, 200, r#"{"did_revoke": true, "error": "invalid_client"}"#),
            (false, 503, r#"{"did_revoke": true}"#),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let reply = Reply::new(status, HeaderMap::new(), body.as_bytes());
            assert_eq!(outcome(&reply).is_ok(), expected, "{status} {body}");
        }
    }
}

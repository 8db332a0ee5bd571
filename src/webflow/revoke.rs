//! Revocation: a token ends at Webflow.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::call;
use super::call::Reply;
use super::{CallError, WebflowClient};

#[derive(Serialize)]
struct Request<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    access_token: &'a str,
}

/// Why a token could not be revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    #[error("Webflow answered the revocation with status {status}, error code {code:?}")]
    Status { status: u16, code: Option<String> },
    #[error(transparent)]
    Call(#[from] CallError),
}

impl WebflowClient {
    /// Revokes a token (Webflow Data API, OAuth, *Revoke an access token*; not RFC 7009: other
    /// host, JSON). A token that Webflow does not know any more counts as revoked.
    pub async fn revoke(&self, token: &SecretString) -> Result<(), RevocationError> {
        let body = Request {
            client_id: &self.client_id,
            client_secret: self.client_secret.expose_secret(),
            access_token: token.expose_secret(),
        };
        let request = call::post(&self.http, self.endpoints.revoke(), &body);
        outcome(&call::call(request, self.budget).await?)
    }
}

pub fn outcome(reply: &Reply) -> Result<(), RevocationError> {
    let code = reply.error_code();
    // Anything may answer 200, a proxy's page too: only Webflow says that it did.
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
    fn a_token_is_revoked_when_webflow_says_so_and_not_before() {
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

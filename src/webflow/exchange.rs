//! The access token request: exchanges an authorization code for a token.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use super::call;
use super::call::Reply;
use super::{CallError, WebflowClient};
use crate::grant::scope::Scopes;
use crate::util::log;

#[derive(Serialize)]
struct Request<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    code: &'a str,
    grant_type: &'static str,
    redirect_uri: &'a str,
}

/// A token that Webflow issued.
pub struct Issued {
    pub access_token: SecretString,
    /// The granted scopes, if the response has them. Webflow only documents `access_token`.
    pub scopes: Option<Scopes>,
    /// `expires_in` and `refresh_token`, which Webflow does not document: a JSON object.
    pub extra: Option<SecretString>,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The code is used, expired or another client's, or the `redirect_uri` differs.
    #[error("Webflow rejected the authorization code (invalid_grant)")]
    InvalidGrant,
    /// Webflow does not know the client ID, or the secret is wrong.
    #[error("Webflow rejected the client's credentials (invalid_client)")]
    InvalidClient,
    #[error("Webflow is rate limiting the exchange (429)")]
    RateLimited { retry_after: Option<Duration> },
    #[error("Webflow responded to the code exchange with status {status}, error code {code:?}")]
    Status { status: u16, code: Option<String> },
    #[error("Webflow's response to the code exchange has no usable access_token")]
    Malformed,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Maximum length of an accepted access token; Webflow's have 64 characters.
const MAX_TOKEN_LEN: usize = 4096;

impl WebflowClient {
    /// Exchanges an authorization code (RFC 6749 section 4.1.3, with Webflow's JSON encoding;
    /// Webflow Data API, OAuth, *Get an access token*).
    pub async fn exchange(&self, code: &str) -> Result<Issued, ExchangeError> {
        let body = Request {
            client_id: &self.client_id,
            client_secret: self.client_secret.expose_secret(),
            code,
            grant_type: "authorization_code",
            redirect_uri: &self.redirect_uri,
        };
        let request = call::post(&self.http, self.endpoints.token(), &body);
        Issued::from_reply(&call::call(request, self.budget).await?)
    }
}

impl Issued {
    pub fn from_reply(reply: &Reply) -> Result<Self, ExchangeError> {
        if reply.status.is_success()
            && let Some(answer) = reply.json()
            && let Some(issued) = Self::from_answer(&answer)
        {
            return Ok(issued);
        }
        let code = reply.error_code();
        Err(match (reply.status.as_u16(), code.as_deref()) {
            (429, _) => ExchangeError::RateLimited { retry_after: reply.retry_after() },
            (200..=499, Some("invalid_grant")) => ExchangeError::InvalidGrant,
            (200..=499, Some("invalid_client")) | (401, _) => ExchangeError::InvalidClient,
            (200..=299, _) => ExchangeError::Malformed,
            (status, _) => ExchangeError::Status { status, code },
        })
    }

    fn from_answer(answer: &Value) -> Option<Self> {
        let token = answer.get("access_token")?.as_str()?;
        // The token goes into a header. Webflow's never contain control characters or spaces.
        let usable = (1..=MAX_TOKEN_LEN).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| Self {
            access_token: token.into(),
            scopes: answer.get("scope").and_then(scopes_of),
            extra: extra_of(answer),
        })
    }
}

/// Fields that will matter if Webflow starts to issue expiring tokens.
fn extra_of(answer: &Value) -> Option<SecretString> {
    static WARNED: Once = Once::new();
    let mut extra = BTreeMap::new();
    for name in ["expires_in", "refresh_token"] {
        if let Some(value) = answer.get(name).filter(|value| !value.is_null()) {
            extra.insert(name, value);
        }
    }
    if extra.is_empty() {
        return None;
    }
    WARNED.call_once(|| {
        let fields = extra.keys().copied().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            target: log::FLOW, fields,
            "Webflow's response to the code exchange has fields that are stored but not used yet"
        );
    });
    serde_json::to_string(&extra).ok().map(SecretString::from)
}

/// Scopes as a string separated by spaces or commas, or as a list; `None` for anything else. A value
/// without any valid scope grants none.
pub fn scopes_of(value: &Value) -> Option<Scopes> {
    match value {
        Value::String(list) => Some(Scopes::parse_lenient(list)),
        Value::Array(list) => {
            let scopes: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            Some(Scopes::parse_lenient(&scopes.join(" ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn n2_a_response_without_a_usable_token_is_rejected() {
        for bad in [
            json!({}),
            json!([]),
            json!({"access_token": ""}),
            json!({"access_token": 7}),
            json!({"access_token": "a\r\nb"}),
            json!({"access_token": "a b"}),
            json!({"access_token": "x".repeat(4097)}),
        ] {
            assert!(Issued::from_answer(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn scopes_are_read_in_every_shape() {
        for scope in [
            json!("sites:read cms:read"),
            json!("sites:read,cms:read"),
            json!(["sites:read", "cms:read"]),
        ] {
            let issued =
                Issued::from_answer(&json!({"access_token": "t", "scope": scope})).unwrap();
            assert_eq!(issued.scopes.unwrap().to_string(), "sites:read cms:read");
        }
        for bare in [json!({"access_token": "t"}), json!({"access_token": "t", "scope": null})] {
            assert!(Issued::from_answer(&bare).unwrap().scopes.is_none(), "{bare}");
        }
    }

    #[test]
    fn c18_an_empty_scope_grants_none() {
        for empty in [json!(""), json!("  "), json!([])] {
            let issued = Issued::from_answer(&json!({"access_token": "t", "scope": empty}));
            assert!(issued.unwrap().scopes.unwrap().is_empty(), "{empty}");
        }
    }

    #[test]
    fn undocumented_fields_are_kept_verbatim() {
        let issued = Issued::from_answer(&json!({"access_token": "t", "expires_in": null}));
        assert!(issued.unwrap().extra.is_none());
        let answer = json!({"access_token": "t", "expires_in": 3600, "refresh_token": "r"});
        let extra = Issued::from_answer(&answer).unwrap().extra.unwrap();
        assert_eq!(extra.expose_secret(), r#"{"expires_in":3600,"refresh_token":"r"}"#);
    }

    #[test]
    fn n4_a_token_in_an_error_response_is_ignored() {
        for (status, taken) in [(200, true), (201, true), (302, false), (400, false), (500, false)]
        {
            let status = http::StatusCode::from_u16(status).unwrap();
            let reply = Reply::new(status, http::HeaderMap::new(), br#"{"access_token":"t"}"#);
            assert_eq!(Issued::from_reply(&reply).is_ok(), taken, "{status}");
        }
    }

    #[test]
    fn o7_malformed_scopes_do_not_count_as_the_requested_ones() {
        for odd in [json!("cms:write:x"), json!([7]), json!(["cms write"]), json!(",")] {
            let issued = Issued::from_answer(&json!({"access_token": "t", "scope": odd})).unwrap();
            assert!(issued.scopes.unwrap().is_empty(), "{odd}");
        }
    }
}

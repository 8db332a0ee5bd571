//! Token introspection: finds out what a token covers.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::call;
use super::call::Reply;
use super::exchange::scopes_of;
use super::lookup::{LOOKUP_BUDGET, TokenLookupError};
use super::{Endpoints, WebflowClient, is_usable_id};
use crate::grant::scope::Scopes;

/// What Webflow reports about a token. Every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Introspection {
    pub authorization_id: Option<String>,
    pub scopes: Option<Scopes>,
    pub sites: Vec<String>,
    pub workspaces: Vec<String>,
    /// Requests per minute.
    pub rate_limit: Option<u32>,
    /// The app that the token was issued to; a site token has none.
    pub application: Option<Application>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Application {
    pub id: Option<String>,
}

impl WebflowClient {
    /// Introspects a token while a user waits.
    pub async fn introspect(
        &self,
        token: &SecretString,
    ) -> Result<Introspection, TokenLookupError> {
        introspect(&self.http, &self.endpoints, token, self.budget.min(LOOKUP_BUDGET)).await
    }
}

/// Introspects a token (Webflow Data API, Token, *Get Authorization Info*). Unlike RFC 7662, it is
/// a GET with the token itself as the bearer.
pub async fn introspect(
    http: &reqwest::Client,
    endpoints: &Endpoints,
    token: &SecretString,
    budget: Duration,
) -> Result<Introspection, TokenLookupError> {
    let request = http.get(endpoints.introspect()).bearer_auth(token.expose_secret());
    Introspection::from_reply(&call::call(request, budget).await?)
}

impl Introspection {
    pub fn from_reply(reply: &Reply) -> Result<Self, TokenLookupError> {
        if !reply.status.is_success() {
            return Err(TokenLookupError::Status(reply.status.as_u16()));
        }
        reply.json().map(|body| Self::from_answer(&body)).ok_or(TokenLookupError::Malformed)
    }

    pub fn from_answer(body: &Value) -> Self {
        let authorization = body.get("authorization").unwrap_or(&Value::Null);
        let id = authorization.get("id").and_then(Value::as_str);
        let ids = |name| {
            let list = authorization.pointer(&format!("/authorizedTo/{name}"));
            let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let ids = list.iter().filter_map(Value::as_str).filter(|id| is_usable_id(id));
            ids.map(str::to_owned).collect()
        };
        let rate_limit = authorization.get("rateLimit").and_then(Value::as_u64);
        Self {
            authorization_id: id.filter(|id| is_usable_id(id)).map(str::to_owned),
            scopes: authorization.get("scope").and_then(scopes_of),
            sites: ids("siteIds"),
            workspaces: ids("workspaceIds"),
            rate_limit: rate_limit.and_then(|limit| u32::try_from(limit).ok()),
            application: body.get("application").filter(|it| it.is_object()).map(|application| {
                let id = application.get("id").and_then(Value::as_str);
                Application { id: id.filter(|id| is_usable_id(id)).map(str::to_owned) }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_may_be_missing_or_of_another_type() {
        for body in [json!(null), json!([]), json!({"authorization": {"authorizedTo": []}})] {
            assert_eq!(Introspection::from_answer(&body), Introspection::default());
        }
        let full = Introspection::from_answer(&json!({"authorization": {
            "id": "a1", "scope": "sites:read,cms:read", "rateLimit": 60,
            "authorizedTo": {"siteIds": ["s1", 7], "workspaceIds": ["w1"], "userIds": []},
        }}));
        assert_eq!(full.authorization_id.as_deref(), Some("a1"));
        assert_eq!(full.scopes.unwrap().to_string(), "sites:read cms:read");
        assert_eq!((full.sites, full.workspaces), (vec!["s1".to_owned()], vec!["w1".to_owned()]));
        assert_eq!(full.rate_limit, Some(60));
    }
}

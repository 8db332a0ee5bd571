//! Lookups beyond introspection: the sites that a token covers, and its user.

use std::collections::HashSet;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

use super::call;
use super::{CallError, WebflowClient, is_usable_id};
use crate::grant::user::WebflowUser;

/// The time limit of one lookup, since a user is waiting.
pub const LOOKUP_BUDGET: Duration = Duration::from_secs(5);

/// The longest response of `/v2/sites`. It is not paginated, and may list thousands of sites.
const MAX_SITES_LEN: usize = 8 * 1024 * 1024;

/// Why a token could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum TokenLookupError {
    #[error("Webflow answered the lookup with status {0}")]
    Status(u16),
    #[error("Webflow's response to the lookup is not the expected JSON")]
    Malformed,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The IDs in a response of `GET /v2/sites` (Webflow Data API, *List Sites*), without duplicates
/// and unusable IDs.
#[derive(Deserialize)]
#[serde(from = "SitesAnswer")]
pub struct SiteIds(pub Vec<String>);

#[derive(Deserialize)]
struct SitesAnswer {
    /// `null` means no sites. A missing field is an error.
    #[serde(deserialize_with = "Option::deserialize")]
    sites: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Site { id: String },
    Other(IgnoredAny),
}

impl From<SitesAnswer> for SiteIds {
    fn from(answer: SitesAnswer) -> Self {
        let mut seen = HashSet::new();
        let ids = answer.sites.unwrap_or_default().into_iter().filter_map(|entry| match entry {
            Entry::Site { id } => Some(id),
            Entry::Other(_) => None,
        });
        Self(ids.filter(|id| is_usable_id(id) && seen.insert(id.clone())).collect())
    }
}

impl WebflowClient {
    /// Returns the sites that a token covers. Needs `sites:read`.
    pub async fn sites(&self, token: &SecretString) -> Result<Vec<String>, TokenLookupError> {
        let SiteIds(ids) = self.look_up(self.endpoints.sites(), token, MAX_SITES_LEN).await?;
        Ok(ids)
    }

    /// Returns the user who authorized the grant. Needs `authorized_user:read` (Webflow Data API,
    /// Token, *Get Authorization User Info*).
    pub async fn user(&self, token: &SecretString) -> Result<WebflowUser, TokenLookupError> {
        self.look_up(self.endpoints.authorized_by(), token, call::MAX_BODY_LEN).await
    }

    async fn look_up<T: DeserializeOwned>(
        &self,
        url: Url,
        token: &SecretString,
        longest: usize,
    ) -> Result<T, TokenLookupError> {
        let request = self.http.get(url).bearer_auth(token.expose_secret());
        let budget = self.budget.min(LOOKUP_BUDGET);
        let reply = call::call_up_to(request, budget, longest).await?;
        if !reply.status.is_success() {
            return Err(TokenLookupError::Status(reply.status.as_u16()));
        }
        reply.json_as().ok_or(TokenLookupError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sites_are_parsed_from_every_response_shape() {
        let ids = |json| serde_json::from_value::<SiteIds>(json).map(|SiteIds(ids)| ids);
        assert_eq!(ids(json!({"sites": null})).unwrap(), Vec::<String>::new());
        assert_eq!(ids(json!({"sites": []})).unwrap(), Vec::<String>::new());
        let odd = json!({"sites": [{"id": "a", "x": {}}, {"id": 7}, null, "b", {"id": ""},
            {"id": "a"}, {"id": "c d"}, {"id": "e"}], "y": 1});
        assert_eq!(ids(odd).unwrap(), ["a", "e"]);
        let many: Vec<_> = (0..1000).map(|i| json!({"id": format!("site-{i}")})).collect();
        assert_eq!(ids(json!({"sites": many})).unwrap().len(), 1000);
        for none in [json!({}), json!(null), json!({"sites": {}}), json!({"sites": "a"})] {
            assert!(ids(none.clone()).is_err(), "{none}");
        }
    }
}

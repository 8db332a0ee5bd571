//! The calls that every application makes, with types.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{ApiError, WebflowApi};
use crate::grant::scope::{Scope, Scopes};
use crate::grant::user::WebflowUser;
use crate::webflow::{Introspection, SiteIds, is_usable_id};

/// What Webflow says of the token itself (Webflow Data API, Token, *Get Authorization Info*).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenInfo {
    /// The id of the authorization.
    pub authorization_id: Option<String>,
    /// What the user allows at present.
    #[serde(serialize_with = "as_list")]
    pub scopes: Scopes,
    /// The ids of the sites that it covers.
    pub sites: Vec<String>,
    /// The ids of the workspaces that it covers.
    pub workspaces: Vec<String>,
    /// Calls allowed per minute.
    pub rate_limit: Option<u32>,
}

/// A site (Webflow Data API, Sites, *List Sites*). What Webflow leaves out is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct SiteInfo {
    /// The site's id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The id of its workspace.
    #[serde(deserialize_with = "text")]
    pub workspace_id: String,
    /// The name that its users gave it.
    #[serde(deserialize_with = "text")]
    pub display_name: String,
    /// The name in its `webflow.io` address.
    #[serde(deserialize_with = "text")]
    pub short_name: String,
    /// The address of a picture of it.
    #[serde(deserialize_with = "text")]
    pub preview_url: String,
    /// Its time zone, as in `Europe/Berlin`.
    #[serde(deserialize_with = "text")]
    pub time_zone: String,
    /// When it was last published, in RFC 3339; empty if never.
    #[serde(deserialize_with = "text")]
    pub last_published: String,
}

#[derive(Deserialize)]
struct Sites {
    sites: Option<Vec<SiteInfo>>,
}

/// An answer of `/beta/token/resolve`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedUser {
    #[serde(flatten)]
    pub user: WebflowUser,
    pub site_id: Option<String>,
}

fn as_list<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(Scope::as_str))
}

/// A text; `null` is empty.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl WebflowApi {
    /// What Webflow says of this token; needs no scope.
    ///
    /// When the scopes are no longer those that are known here, the layer looks the grant up
    /// again with the next request.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn introspect(&self) -> Result<TokenInfo, ApiError> {
        let answer: Value = self.get("/v2/token/introspect").send().await?.json().await?;
        let found = Introspection::from_answer(&answer);
        if found.scopes.as_ref().is_some_and(|scopes| scopes != self.token().scopes()) {
            self.token().state().mark_outdated();
        }
        Ok(TokenInfo {
            authorization_id: found.authorization_id,
            scopes: found.scopes.unwrap_or_default(),
            sites: found.sites,
            workspaces: found.workspaces,
            rate_limit: found.rate_limit,
        })
    }

    /// The user who gave the grant; needs `authorized_user:read`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn authorized_by(&self) -> Result<WebflowUser, ApiError> {
        self.fetch("/v2/token/authorized_by").await
    }

    /// The sites that the grant covers; needs `sites:read`. Leaves out sites whose ID is
    /// empty, longer than 128 bytes, or has characters other than printable ASCII.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn sites(&self) -> Result<Vec<SiteInfo>, ApiError> {
        let mut sites = self.fetch::<Sites>("/v2/sites").await?.sites.unwrap_or_default();
        sites.retain(|site| is_usable_id(&site.id));
        for site in &mut sites {
            if !site.workspace_id.is_empty() && !is_usable_id(&site.workspace_id) {
                site.workspace_id.clear();
            }
        }
        Ok(sites)
    }

    /// The ids of the sites that the grant covers, by one attempt.
    pub(crate) async fn site_ids(&self) -> Result<Vec<String>, ApiError> {
        let SiteIds(ids) = self.get("/v2/sites").no_retry().send().await?.json().await?;
        Ok(ids)
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.get(path).send().await?.json().await
    }
}

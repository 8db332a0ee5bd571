//! Typed methods for the most common calls.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{ApiError, WebflowApi};
use crate::grant::scope::{Scope, Scopes};
use crate::grant::user::WebflowUser;
use crate::webflow::{Introspection, SiteIds, is_usable_id};

/// The result of introspecting a token (Webflow Data API, Token, *Get Authorization Info*).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenInfo {
    /// The ID of the authorization.
    pub authorization_id: Option<String>,
    /// The scopes currently granted.
    #[serde(serialize_with = "as_list")]
    pub scopes: Scopes,
    /// The IDs of the sites that the token covers.
    pub sites: Vec<String>,
    /// The IDs of the workspaces that the token covers.
    pub workspaces: Vec<String>,
    /// Calls allowed per minute.
    pub rate_limit: Option<u32>,
}

/// A site (Webflow Data API, Sites, *List Sites*). Fields that Webflow omits are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct SiteInfo {
    /// The site's ID.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The ID of its workspace.
    #[serde(deserialize_with = "text")]
    pub workspace_id: String,
    /// The name that its users see.
    #[serde(deserialize_with = "text")]
    pub display_name: String,
    /// The name in its `webflow.io` URL.
    #[serde(deserialize_with = "text")]
    pub short_name: String,
    /// The URL of a preview image.
    #[serde(deserialize_with = "text")]
    pub preview_url: String,
    /// Its time zone, such as `Europe/Berlin`.
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

/// A response of `/beta/token/resolve`.
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

/// A string, empty for `null`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl WebflowApi {
    /// Introspects this token. Needs no scope.
    ///
    /// If the scopes have changed, the layer updates the stored grant on its next request.
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

    /// Returns the user who authorized the grant. Needs `authorized_user:read`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn authorized_by(&self) -> Result<WebflowUser, ApiError> {
        self.fetch("/v2/token/authorized_by").await
    }

    /// Returns the sites that the grant covers. Needs `sites:read`.
    ///
    /// Sites whose ID is empty, longer than 128 bytes or not printable ASCII are left out. A
    /// workspace ID of that kind is returned empty.
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

    /// The IDs of the sites that the grant covers, without retries.
    pub(crate) async fn site_ids(&self) -> Result<Vec<String>, ApiError> {
        let SiteIds(ids) = self.get("/v2/sites").no_retry().send().await?.json().await?;
        Ok(ids)
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.get(path).send().await?.json().await
    }
}

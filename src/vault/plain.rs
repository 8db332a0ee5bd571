//! A grant as JSON: what is encrypted in a row.

use std::time::UNIX_EPOCH;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::grant::details::{Coverage, GrantDetails, Sites};
use crate::grant::scope::Scopes;
use crate::grant::user::WebflowUser;
use crate::store::{StoreError, time_from_unix_secs};

const USUAL_LEN: usize = 16 * 1024;

/// A grant as it is sealed: JSON with short names, since large numbers of rows are kept.
#[derive(Serialize, Deserialize)]
pub struct Plain {
    #[serde(rename = "t")]
    access_token: String,
    #[serde(rename = "o")]
    scopes: String,
    #[serde(rename = "at")]
    obtained_at_unix_secs: u64,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    coverage: Option<PlainCoverage>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<WebflowUser>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    flows: Vec<String>,
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    asked: String,
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    renewed: bool,
}

#[derive(Serialize, Deserialize)]
struct PlainCoverage {
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    authorization_id: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    application_id: Option<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    sites: Vec<String>,
    /// Whether `/v2/sites` has listed the sites; introspection names them otherwise.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    listed: bool,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    workspaces: Vec<String>,
}

impl Plain {
    /// The JSON of a grant, wiped when it is dropped.
    pub fn to_json(details: &GrantDetails) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut plain = Self::from_details(details);
        // Room for some hundred sites: a buffer that grows leaves copies of the token behind.
        let mut json = Zeroizing::new(Vec::with_capacity(USUAL_LEN));
        let written = serde_json::to_writer(&mut *json, &plain);
        plain.access_token.zeroize();
        plain.extra.zeroize();
        written.map_err(StoreError::unavailable)?;
        Ok(json)
    }

    /// Parses the JSON of a grant.
    pub fn parse(json: &[u8]) -> Option<GrantDetails> {
        serde_json::from_slice::<Self>(json).ok().map(Self::into_details)
    }

    fn from_details(details: &GrantDetails) -> Self {
        Self {
            access_token: details.access_token.expose_secret().to_owned(),
            scopes: details.scopes.to_string(),
            obtained_at_unix_secs: details
                .obtained_at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            coverage: details.coverage.as_ref().map(|coverage| PlainCoverage {
                authorization_id: coverage.authorization_id.clone(),
                application_id: coverage.application_id.clone(),
                sites: coverage.sites.ids().to_vec(),
                listed: matches!(coverage.sites, Sites::Listed(Some(_))),
                workspaces: coverage.workspaces.clone(),
            }),
            user: details.user.clone(),
            extra: details.extra.as_ref().map(|extra| extra.expose_secret().to_owned()),
            flows: details.flows.clone(),
            asked: details.asked.to_string(),
            renewed: details.renewed,
        }
    }

    fn into_details(self) -> GrantDetails {
        GrantDetails {
            access_token: SecretString::from(self.access_token),
            scopes: Scopes::parse_lenient(&self.scopes),
            obtained_at: time_from_unix_secs(self.obtained_at_unix_secs),
            coverage: self.coverage.map(|coverage| Coverage {
                authorization_id: coverage.authorization_id,
                application_id: coverage.application_id,
                sites: if coverage.listed {
                    Sites::Listed(Some(coverage.sites))
                } else {
                    Sites::named(coverage.sites)
                },
                workspaces: coverage.workspaces,
            }),
            user: self.user,
            extra: self.extra.map(SecretString::from),
            flows: self.flows,
            asked: Scopes::parse_lenient(&self.asked),
            renewed: self.renewed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::details::tests::{coverage, details, ids};
    use crate::grant::scope::Scope;

    #[test]
    fn a_grant_is_read_as_it_was_sealed() {
        let mut grant = details(&[Scope::SITES_READ]);
        grant.user = serde_json::from_str(r#"{"id": "u", "email": "ada@example.com"}"#).unwrap();
        grant.extra = Some(SecretString::from(r#"{"refresh_token":"r"}"#));
        for sites in [
            Sites::Named(ids(&["a"])),
            Sites::Listed(None),
            Sites::Listed(Some(Vec::new())),
            Sites::Listed(Some(ids(&["a", "b"]))),
        ] {
            grant.coverage = Some(Coverage { sites, ..coverage(&[], &["w"]) });
            let json = Plain::to_json(&grant).unwrap();
            let read = serde_json::from_slice::<Plain>(&json).unwrap().into_details();
            assert_eq!(read.coverage, grant.coverage);
            assert_eq!(read.user, grant.user);
            assert_eq!(read.extra.unwrap().expose_secret(), r#"{"refresh_token":"r"}"#);
        }
    }

    #[test]
    fn a_row_of_an_earlier_version_is_readable() {
        let whole = r#"{"t": "t", "o": "sites:read", "at": 1, "c": {"a": "id", "w": ["w"]}}"#;
        let read = serde_json::from_str::<Plain>(whole).unwrap().into_details();
        assert!(read.missing(true).sites, "its sites are listed with the next request");
        let named = r#"{"t": "t", "o": "sites:read", "at": 1, "c": {"s": ["s"]}, "f": ["f"]}"#;
        let read = serde_json::from_str::<Plain>(named).unwrap().into_details();
        assert_eq!(read.sites(), ["s"]);
        assert!(!read.missing(true).any());
    }
}

//! `webflow-auth list` and `webflow-auth revoke`.

use std::pin::pin;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use serde_json::json;
use tower_webflow_auth::handle::{RevokeError, StoredGrant};
use tower_webflow_auth::store::GrantId;
use tower_webflow_auth::{Scopes, Subject, WebflowAuthHandle, WebflowToken};

use crate::arguments::Filter;
use crate::failure::Failure;
use crate::output::{Output, plain};

pub(crate) async fn list(
    handle: &WebflowAuthHandle,
    filter: &Filter,
    output: Output,
) -> Result<(), Failure> {
    let tokens = if let Some(subject) = &filter.subject {
        handle.tokens(subject).await?
    } else if let Some(site) = &filter.site {
        handle.tokens_for_site(site).await?
    } else if let Some(workspace) = &filter.workspace {
        handle.tokens_for_workspace(workspace).await?
    } else {
        let mut grants = pin!(handle.list_grants(None));
        while let Some(grant) = grants.try_next().await? {
            Row::from(&grant).print(output)?;
        }
        return Ok(());
    };
    tokens.iter().try_for_each(|token| Row::from(token).print(output))
}

/// What is shown of a grant.
struct Row<'a> {
    subject: &'a Subject,
    grant: &'a GrantId,
    scopes: &'a Scopes,
    sites: &'a [String],
    workspaces: &'a [String],
    obtained_at: SystemTime,
}

impl<'a> From<&'a StoredGrant> for Row<'a> {
    fn from(grant: &'a StoredGrant) -> Self {
        Self {
            subject: grant.subject(),
            grant: grant.grant_id(),
            scopes: grant.scopes(),
            sites: grant.sites(),
            workspaces: grant.workspaces(),
            obtained_at: grant.obtained_at(),
        }
    }
}

impl<'a> From<&'a WebflowToken> for Row<'a> {
    fn from(token: &'a WebflowToken) -> Self {
        Self {
            subject: token.subject(),
            grant: token.grant_id(),
            scopes: token.scopes(),
            sites: token.sites(),
            workspaces: token.workspaces(),
            obtained_at: token.obtained_at(),
        }
    }
}

impl Row<'_> {
    fn print(&self, output: Output) -> Result<(), Failure> {
        let seconds = self.obtained_at.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let json = json!({
            "subject": self.subject.as_str(),
            "grant": self.grant.as_str(),
            "scopes": self.scopes.to_string().split_whitespace().collect::<Vec<_>>(),
            "sites": self.sites,
            "workspaces": self.workspaces,
            "obtainedAt": seconds,
        });
        let text = format!(
            "{}  grant {}  {}  {} sites, {} workspaces  since {}",
            plain(self.subject.as_str()),
            plain(self.grant.as_str()),
            self.scopes,
            self.sites.len(),
            self.workspaces.len(),
            httpdate::fmt_http_date(self.obtained_at),
        );
        output.line(&json, &text)
    }
}

pub(crate) async fn revoke(
    handle: &WebflowAuthHandle,
    subject: &Subject,
    grant: Option<&str>,
    output: Output,
) -> Result<(), Failure> {
    let revoked = match grant {
        None => handle.revoke(subject).await,
        Some(id) => {
            let tokens = handle.tokens(subject).await?;
            match tokens.iter().find(|token| token.grant_id().as_str() == id) {
                Some(token) => handle.revoke_grant(token).await.map(|()| 1),
                None => Ok(0),
            }
        }
    };
    let count = match revoked {
        Ok(count) => count,
        Err(RevokeError::Store(error)) => return Err(error.into()),
        Err(error) => {
            return Err(Failure::Webflow(format!(
                "the grants are removed here, but not yet at Webflow ({error})"
            )));
        }
    };
    let name = plain(subject.as_str());
    let text = match count {
        0 => format!("{name} has no such grant; `webflow-auth list` shows who has one"),
        _ => format!("revoked {count} of {name}"),
    };
    output.line(&json!({ "subject": subject.as_str(), "revoked": count }), &text)?;
    if count == 0 { Err(Failure::Reported) } else { Ok(()) }
}

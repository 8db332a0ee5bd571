//! Sites and workspaces.
//!
//! Source: Webflow Data API, Sites, *List Sites*, *Get Site*, *Get Custom Domains* and *Publish
//! Site*; Workspaces, *List Workspaces*.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, ListShape, invalid, json, not_found};
use super::data_api::{not_authorized, with_grant};
use super::issued::Grant;
use super::log::RecordedRequest;
use super::state::{FakeState, lock, timestamp, too_many_requests};
use super::workspaces::{Site, Workspace};
use crate::grant::scope::Scope;

/// A site may be published once in this time.
const PUBLISH_PAUSE: Duration = Duration::from_secs(60);

/// `GET /v2/sites`: those that the user chose.
pub fn list(fake: &FakeState, request: &RecordedRequest) -> Answer {
    with_grant(fake, request, Some(&Scope::SITES_READ), |grant| {
        let sites = sites_of(fake, grant).into_iter().map(|site| to_json(fake, site));
        let sites = match fake.settings().list_shape {
            ListShape::Null => Value::Null,
            _ => sites.collect(),
        };
        json(StatusCode::OK, &json!({"sites": sites}))
    })
}

/// `GET /v2/sites/{site_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_site(fake, request, &Scope::SITES_READ, id, |site| {
        json(StatusCode::OK, &to_json(fake, site))
    })
}

/// `GET /v2/sites/{site_id}/custom_domains`: none.
pub fn custom_domains(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_site(fake, request, &Scope::SITES_READ, id, |_| {
        json(StatusCode::OK, &json!({"customDomains": []}))
    })
}

/// `POST /v2/sites/{site_id}/publish`. Items that are neither drafts nor archived go live with it.
pub fn publish(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_site(fake, request, &Scope::SITES_WRITE, id, |site| {
        let body = request.json().unwrap_or_else(|| json!({}));
        let domains = body.get("customDomains").and_then(Value::as_array);
        if domains.is_some_and(|domains| !domains.is_empty()) {
            return invalid("customDomains: the site has no such domain");
        }
        let now = fake.clock.now();
        let mut published = lock(&fake.published);
        if let Some(at) = published.get(site.id()) {
            let since = now.duration_since(*at).unwrap_or_default();
            if since < PUBLISH_PAUSE {
                return too_many_requests(PUBLISH_PAUSE.saturating_sub(since));
            }
        }
        published.insert(site.id().to_owned(), now);
        lock(&fake.cms).publish_site(site.id(), &timestamp(now));
        let subdomain = body.get("publishToWebflowSubdomain").and_then(Value::as_bool);
        let subdomain = subdomain.unwrap_or(false);
        let answer = json!({"customDomains": [], "publishToWebflowSubdomain": subdomain});
        json(StatusCode::ACCEPTED, &answer)
    })
}

/// `GET /v2/workspaces`: those of the sites that the user chose.
pub fn workspaces(fake: &FakeState, request: &RecordedRequest) -> Answer {
    with_grant(fake, request, Some(&Scope::WORKSPACE_READ), |grant| {
        let covered = |it: &&Workspace| grant.approval.access.covers_workspace(it);
        let workspaces = fake.workspaces.iter().filter(covered).map(Workspace::to_json);
        json(StatusCode::OK, &json!({"workspaces": workspaces.collect::<Value>()}))
    })
}

fn to_json(fake: &FakeState, site: &Site) -> Value {
    let published: Option<SystemTime> = lock(&fake.published).get(site.id()).copied();
    site.to_json(&timestamp(fake.started_at), published.map(timestamp).as_deref())
}

/// Lets a request through if its grant has the scope and covers the site.
pub fn with_site(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    site_id: &str,
    endpoint: impl FnOnce(&Site) -> Answer,
) -> Answer {
    with_site_where(fake, request, scope, |site| site.id() == site_id, endpoint)
}

/// [`with_site`] for the site that something belongs to.
pub fn with_site_where(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    is_it: impl Fn(&Site) -> bool,
    endpoint: impl FnOnce(&Site) -> Answer,
) -> Answer {
    with_grant(fake, request, Some(scope), |grant| {
        if let Some(site) = sites_of(fake, grant).into_iter().find(|site| is_it(site)) {
            return endpoint(site);
        }
        let exists = fake.workspaces.iter().flat_map(Workspace::sites).any(is_it);
        if exists { not_authorized() } else { not_found("Requested resource not found") }
    })
}

fn sites_of<'a>(fake: &'a FakeState, grant: &Grant) -> Vec<&'a Site> {
    grant.approval.access.resolve(&fake.workspaces).unwrap_or_default()
}

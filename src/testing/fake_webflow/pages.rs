//! Pages. Every site has the same five.
//!
//! Source: Webflow Data API, Pages, *List Pages*, *Get Page Metadata*, *Update Page Settings* and
//! *Get Page Content*.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, json};
use super::ids::id_from;
use super::list::page_of;
use super::log::RecordedRequest;
use super::sites::{with_site, with_site_where};
use super::state::{FakeState, lock, timestamp};
use super::workspaces::{Site, slug};
use crate::grant::scope::Scope;

const TITLES: [&str; 5] = ["Home", "About", "Blog", "Pricing", "Contact"];

/// What was changed of a page, by its identifier.
pub type PageSettings = HashMap<String, Map<String, Value>>;

fn page_id(site: &Site, title: &str) -> String {
    id_from(&["page", site.id(), title])
}

fn title_of(site: &Site, id: &str) -> Option<&'static str> {
    TITLES.into_iter().find(|title| page_id(site, title) == id)
}

fn to_json(fake: &FakeState, site: &Site, title: &str) -> Value {
    let created = timestamp(fake.started_at);
    let (slug, path) = if title == "Home" {
        ("home".to_owned(), "/".to_owned())
    } else {
        (slug(title), format!("/{}", slug(title)))
    };
    let id = page_id(site, title);
    let mut page = json!({
        "id": id,
        "siteId": site.id(),
        "title": title,
        "slug": slug,
        "parentId": null,
        "collectionId": null,
        "createdOn": created,
        "lastUpdated": created,
        "archived": false,
        "draft": false,
        "canBranch": true,
        "isBranch": false,
        "branchId": null,
        "seo": {"title": title, "description": null},
        "openGraph": {
            "title": title,
            "titleCopied": true,
            "description": null,
            "descriptionCopied": true,
        },
        "localeId": null,
        "publishedPath": path,
    });
    let changed = lock(&fake.pages).get(&id).cloned().unwrap_or_default();
    if let Some(page) = page.as_object_mut() {
        page.extend(changed);
    }
    page
}

/// `GET /v2/sites/{site_id}/pages`.
pub fn list(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::PAGES_READ, site_id, |site| {
        let pages: Vec<_> = TITLES.iter().map(|title| to_json(fake, site, title)).collect();
        page_of(fake, &pages, "pages", request)
    })
}

/// `GET /v2/pages/{page_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_page(fake, request, &Scope::PAGES_READ, id, |site, title| {
        json(StatusCode::OK, &to_json(fake, site, title))
    })
}

/// `PUT /v2/pages/{page_id}`.
pub fn update(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_page(fake, request, &Scope::PAGES_WRITE, id, |site, title| {
        let body = request.json().unwrap_or_default();
        let mut changed = Map::new();
        for name in ["title", "slug", "seo", "openGraph"] {
            changed.extend(body.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        changed.insert("lastUpdated".to_owned(), timestamp(fake.clock.now()).into());
        lock(&fake.pages).entry(id.to_owned()).or_default().extend(changed);
        json(StatusCode::OK, &to_json(fake, site, title))
    })
}

/// `GET /v2/pages/{page_id}/dom`: no nodes.
pub fn content(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_page(fake, request, &Scope::PAGES_READ, id, |_, _| {
        let content = json!({
            "pageId": id,
            "branchId": null,
            "nodes": [],
            "pagination": {"limit": 100, "offset": 0, "total": 0},
            "lastUpdated": timestamp(fake.started_at),
        });
        json(StatusCode::OK, &content)
    })
}

fn with_page(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    id: &str,
    endpoint: impl FnOnce(&Site, &str) -> Answer,
) -> Answer {
    let has_it = |site: &Site| title_of(site, id).is_some();
    with_site_where(fake, request, scope, has_it, |site| {
        endpoint(site, title_of(site, id).unwrap_or_default())
    })
}

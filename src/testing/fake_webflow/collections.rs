//! CMS collections.
//!
//! Every site begins with the same three. Source: Webflow Data API, Collections, *List
//! Collections*, *Get Collection Details*, *Create Collection* and *Delete Collection*.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, empty, invalid, json};
use super::ids::id_from;
use super::item::Item;
use super::list::page_of;
use super::log::RecordedRequest;
use super::sites::{with_site, with_site_where};
use super::state::{FakeState, lock, timestamp};
use super::workspaces::{Site, slug};
use crate::grant::scope::Scope;

const COLLECTIONS: [(&str, &str); 3] =
    [("Blog Posts", "Blog Post"), ("Authors", "Author"), ("Categories", "Category")];

pub struct Collection {
    id: String,
    display_name: String,
    singular_name: String,
    slug: String,
    /// `None` since the server was started.
    created_on: Option<String>,
    pub items: Vec<Item>,
}

impl Collection {
    fn summary(&self, started: &str) -> Value {
        let created = self.created_on.as_deref().unwrap_or(started);
        json!({
            "id": self.id,
            "displayName": self.display_name,
            "singularName": self.singular_name,
            "slug": self.slug,
            "createdOn": created,
            "lastUpdated": created,
        })
    }

    /// The collection with its fields: the two that every collection has.
    fn details(&self, started: &str) -> Value {
        let fields = [("name", "Name"), ("slug", "Slug")].map(|(slug, name)| {
            json!({
                "id": id_from(&["field", &self.id, slug]),
                "isRequired": true,
                "isEditable": true,
                "type": "PlainText",
                "slug": slug,
                "displayName": name,
                "helpText": null,
            })
        });
        let mut details = self.summary(started);
        if let Some(details) = details.as_object_mut() {
            details.insert("fields".to_owned(), fields.into_iter().collect());
        }
        details
    }
}

/// The collections of each site, by its identifier.
#[derive(Default)]
pub struct Cms(HashMap<String, Vec<Collection>>);

impl Cms {
    fn of_site(&mut self, site_id: &str) -> &mut Vec<Collection> {
        self.0.entry(site_id.to_owned()).or_insert_with(|| {
            let collection = |(name, singular): (&str, &str)| Collection {
                id: id_from(&["collection", site_id, name]),
                display_name: name.to_owned(),
                singular_name: singular.to_owned(),
                slug: slug(name),
                created_on: None,
                items: Vec::new(),
            };
            COLLECTIONS.map(collection).into()
        })
    }

    pub fn find(&mut self, site_id: &str, id: &str) -> Option<&mut Collection> {
        self.of_site(site_id).iter_mut().find(|collection| collection.id == id)
    }

    /// Publishes what a site's publication takes along.
    pub fn publish_site(&mut self, site_id: &str, now: &str) {
        let items = self.of_site(site_id).iter_mut().flat_map(|collection| &mut collection.items);
        items.filter(|item| item.goes_live_with_the_site()).for_each(|item| item.publish(now));
    }
}

/// Lets a request through if its grant has the scope and covers the collection's site.
pub fn with_collection(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    id: &str,
    endpoint: impl FnOnce(&Site, &mut Collection) -> Answer,
) -> Answer {
    let has_it = |site: &Site| lock(&fake.cms).find(site.id(), id).is_some();
    with_site_where(fake, request, scope, has_it, |site| {
        let mut cms = lock(&fake.cms);
        cms.find(site.id(), id)
            .map_or_else(|| invalid("no such collection"), |it| endpoint(site, it))
    })
}

/// `GET /v2/sites/{site_id}/collections`. Webflow does not page this list; the fake does, so that
/// paging can be tried without writing a hundred items first.
pub fn list(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::CMS_READ, site_id, |site| {
        let started = timestamp(fake.started_at);
        let mut cms = lock(&fake.cms);
        let all: Vec<_> = cms.of_site(site.id()).iter().map(|it| it.summary(&started)).collect();
        page_of(fake, &all, "collections", request)
    })
}

/// `POST /v2/sites/{site_id}/collections`.
pub fn create(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::CMS_WRITE, site_id, |site| {
        let body = request.json().unwrap_or_default();
        let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
        let (Some(display_name), Some(singular_name)) = (text("displayName"), text("singularName"))
        else {
            return invalid("displayName and singularName must be strings");
        };
        let collection = Collection {
            id: fake.ids.id(),
            slug: text("slug").unwrap_or_else(|| slug(&singular_name)),
            display_name,
            singular_name,
            created_on: Some(timestamp(fake.clock.now())),
            items: Vec::new(),
        };
        let answer = collection.details("");
        lock(&fake.cms).of_site(site.id()).push(collection);
        json(StatusCode::OK, &answer)
    })
}

/// `GET /v2/collections/{collection_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_collection(fake, request, &Scope::CMS_READ, id, |_, collection| {
        json(StatusCode::OK, &collection.details(&timestamp(fake.started_at)))
    })
}

/// `DELETE /v2/collections/{collection_id}`.
pub fn delete(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    let has_it = |site: &Site| lock(&fake.cms).find(site.id(), id).is_some();
    with_site_where(fake, request, &Scope::CMS_WRITE, has_it, |site| {
        lock(&fake.cms).of_site(site.id()).retain(|collection| collection.id != id);
        empty(StatusCode::NO_CONTENT)
    })
}

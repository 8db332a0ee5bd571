//! CMS items, staged and live.
//!
//! Source: Webflow Data API, Collection Items, *List Collection Items*, *Create Collection
//! Item(s)*, *Create Collection Items*, *Get*, *Update* and *Delete Collection Item(s)*, each with
//! its *Live* twin, and *Publish Collection Item(s)*.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, empty, invalid, json, not_found};
use super::collections::{Collection, with_collection};
use super::item::{Item, Version, checked_slug, fields_of};
use super::item_query;
use super::list::page_of;
use super::log::RecordedRequest;
use super::state::{FakeState, lock, timestamp};
use super::workspaces::{Site, slug};
use crate::grant::scope::Scope;

/// How many items one request may write.
const MAX_BULK: usize = 100;

/// `GET /v2/collections/{collection_id}/items` and `../items/live`.
pub fn list(fake: &FakeState, request: &RecordedRequest, id: &str, version: Version) -> Answer {
    with_collection(fake, request, &Scope::CMS_READ, id, |_, collection| {
        let all = collection.items.iter().filter_map(|item| item.version(version));
        match item_query::select(all, request) {
            Ok(all) => page_of(fake, &all, "items", request),
            Err(problem) => invalid(&problem),
        }
    })
}

/// `POST /v2/collections/{collection_id}/items` and `../items/live`: one item, or several in `items`.
pub fn create(fake: &FakeState, request: &RecordedRequest, id: &str, to: Version) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |site, collection| {
        let body = request.json().unwrap_or_default();
        let several = body.get("items").and_then(Value::as_array);
        let bodies = several.map_or(std::slice::from_ref(&body), Vec::as_slice);
        let made = match add_all(fake, site, collection, bodies, to) {
            Ok(made) => made,
            Err(refused) => return refused,
        };
        let answer = match (several, made.as_slice()) {
            (None, [one]) => one.clone(),
            _ => json!({"items": made}),
        };
        json(StatusCode::ACCEPTED, &answer)
    })
}

/// `POST /v2/collections/{collection_id}/items/bulk`: one item, or one for each `fieldData` of a
/// list, in several locales. Webflow documents the answer for one.
pub fn create_bulk(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |site, collection| {
        let body = request.json().unwrap_or_default();
        let fields = body.get("fieldData").cloned().unwrap_or_default();
        let locales = body.get("cmsLocaleIds").cloned();
        let locales = locales.unwrap_or_else(|| json!([site.cms_locale_id()]));
        let several = fields.as_array();
        let fields = several.map_or(std::slice::from_ref(&fields), Vec::as_slice);
        let with_fields = |fields: &Value| {
            let mut one = body.clone();
            if let Some(one) = one.as_object_mut() {
                one.insert("fieldData".to_owned(), fields.clone());
            }
            one
        };
        let bodies: Vec<_> = fields.iter().map(with_fields).collect();
        let mut made = match add_all(fake, site, collection, &bodies, Version::Staged) {
            Ok(made) => made,
            Err(refused) => return refused,
        };
        for item in made.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("cmsLocaleId");
            item.insert("cmsLocaleIds".to_owned(), locales.clone());
        }
        let answer = match (several, made.as_slice()) {
            (None, [one]) => one.clone(),
            _ => json!({"items": made}),
        };
        json(StatusCode::ACCEPTED, &answer)
    })
}

/// Adds all items or none.
fn add_all(
    fake: &FakeState,
    site: &Site,
    collection: &mut Collection,
    bodies: &[Value],
    to: Version,
) -> Result<Vec<Value>, Answer> {
    if bodies.is_empty() || bodies.len() > MAX_BULK {
        return Err(invalid("1 to 100 items can be written at once"));
    }
    let before = collection.items.len();
    for body in bodies {
        match fields_of(body, &collection.items) {
            Ok(fields) => collection.items.push(Item::new(fake, site, body, &fields, to)),
            Err(problem) => {
                collection.items.truncate(before);
                return Err(invalid(&problem));
            }
        }
    }
    Ok(collection.items.iter().skip(before).map(|item| item.staged.clone()).collect())
}

/// `PATCH /v2/collections/{collection_id}/items` and `../items/live`.
pub fn update_all(
    fake: &FakeState,
    request: &RecordedRequest,
    id: &str,
    version: Version,
) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |_, collection| {
        let body = request.json().unwrap_or_default();
        let Some(changes) = body.get("items").and_then(Value::as_array) else {
            return invalid("items is missing or not a list");
        };
        if changes.len() > MAX_BULK {
            return invalid("1 to 100 items can be written at once");
        }
        let mut updated = Vec::new();
        for change in changes {
            let item_id = change.get("id").and_then(Value::as_str).unwrap_or_default();
            match change_one(fake, collection, item_id, change, version) {
                Ok(item) => updated.push(item),
                Err(refused) => return refused,
            }
        }
        json(StatusCode::OK, &json!({"items": updated}))
    })
}

/// `PATCH /v2/collections/{collection_id}/items/{item_id}` and `../live`.
pub fn update(
    fake: &FakeState,
    request: &RecordedRequest,
    (id, item_id): (&str, &str),
    version: Version,
) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |_, collection| {
        let body = request.json().unwrap_or_default();
        change_one(fake, collection, item_id, &body, version)
            .map_or_else(|refused| refused, |item| json(StatusCode::OK, &item))
    })
}

fn change_one(
    fake: &FakeState,
    collection: &mut Collection,
    id: &str,
    change: &Value,
    version: Version,
) -> Result<Value, Answer> {
    let slug = change.get("fieldData").and_then(|fields| fields.get("slug"));
    if let Some(slug) = slug {
        let is_taken = |slug: &str| {
            collection.items.iter().any(|item| item.id() != id && item.slug() == Some(slug))
        };
        checked_slug(slug, is_taken).map_err(|problem| invalid(&problem))?;
    }
    let item = collection.items.iter_mut().find(|item| item.id() == id);
    let item = item.filter(|item| item.version(version).is_some()).ok_or_else(no_item)?;
    item.update(change, &timestamp(fake.clock.now()), version);
    Ok(item.staged.clone())
}

/// `GET /v2/collections/{collection_id}/items/{item_id}` and `../live`.
pub fn get(
    fake: &FakeState,
    request: &RecordedRequest,
    (id, item_id): (&str, &str),
    version: Version,
) -> Answer {
    with_collection(fake, request, &Scope::CMS_READ, id, |_, collection| {
        let item = collection.items.iter().find(|item| item.id() == item_id);
        let item = item.and_then(|item| item.version(version));
        item.map_or_else(no_item, |item| json(StatusCode::OK, item))
    })
}

/// `DELETE /v2/collections/{collection_id}/items/{item_id}`; `../live` takes the item off the site.
pub fn delete(
    fake: &FakeState,
    request: &RecordedRequest,
    (id, item_id): (&str, &str),
    version: Version,
) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |_, collection| {
        remove(collection, &[item_id], version)
    })
}

/// `DELETE /v2/collections/{collection_id}/items`; `../items/live` takes the items off the site.
pub fn delete_all(
    fake: &FakeState,
    request: &RecordedRequest,
    id: &str,
    version: Version,
) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |_, collection| {
        let body = request.json().unwrap_or_default();
        remove(collection, &ids_in(&body), version)
    })
}

fn remove(collection: &mut Collection, ids: &[&str], version: Version) -> Answer {
    if ids.is_empty() || ids.len() > MAX_BULK {
        return invalid("1 to 100 items can be removed at once");
    }
    let has = |id: &&str| {
        let mut items = collection.items.iter();
        items.any(|item| item.id() == *id && item.version(version).is_some())
    };
    if !ids.iter().all(has) {
        return no_item();
    }
    match version {
        Version::Staged => collection.items.retain(|item| !ids.contains(&item.id())),
        Version::Live => {
            let items = collection.items.iter_mut();
            items.filter(|item| ids.contains(&item.id())).for_each(Item::unpublish);
        }
    }
    empty(StatusCode::NO_CONTENT)
}

/// `POST /v2/collections/{collection_id}/items/publish`.
pub fn publish(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_collection(fake, request, &Scope::CMS_WRITE, id, |_, collection| {
        let body = request.json().unwrap_or_default();
        let ids = ids_in(&body);
        if ids.is_empty() || ids.len() > MAX_BULK {
            return invalid("itemIds or items must name 1 to 100 items");
        }
        let now = timestamp(fake.clock.now());
        let (mut published, mut errors) = (Vec::new(), Vec::new());
        for id in ids {
            match collection.items.iter_mut().find(|item| item.id() == id) {
                Some(item) => {
                    item.publish(&now);
                    published.push(id);
                }
                None => errors.push(format!("Item {id} is not in the collection")),
            }
        }
        let answer = json!({"publishedItemIds": published, "errors": errors});
        json(StatusCode::ACCEPTED, &answer)
    })
}

/// The items that `itemIds`, or `items` by their `id`, name.
fn ids_in(body: &Value) -> Vec<&str> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
    let by_id = list("items").filter_map(|item| item.get("id"));
    list("itemIds").chain(by_id).filter_map(Value::as_str).collect()
}

fn no_item() -> Answer {
    not_found("Requested resource not found")
}

/// Items without calls to the API.
impl super::FakeWebflow {
    /// Publishes items in a collection of the first site that has it, as many as there are names;
    /// `false` when no site has that collection. For tests that need more items than they want to
    /// write by calls.
    pub fn add_items<S: Into<String>>(
        &self,
        collection_id: &str,
        names: impl IntoIterator<Item = S>,
    ) -> bool {
        let fake = &self.fake;
        let mut cms = lock(&fake.cms);
        for site in fake.workspaces.iter().flat_map(super::Workspace::sites) {
            let Some(collection) = cms.find(site.id(), collection_id) else { continue };
            for name in names {
                let name = name.into();
                let fields = json!({"slug": slug(&name), "name": name});
                let fields = fields.as_object().cloned().unwrap_or_default();
                collection.items.push(Item::new(fake, site, &json!({}), &fields, Version::Live));
            }
            return true;
        }
        false
    }
}

//! CMS collections and items, which exercise the scopes `cms:read` and `cms:write`.
//!
//! Every site has the same three collections. Items live as long as the server. Source: Webflow
//! Data API, CMS, *List Collections*, *List Collection Items* and *Create Collection Item(s)*;
//! *Pagination*.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, ListShape, api_error, json};
use super::data_api::{refuse_site, with_grant};
use super::ids::id_from;
use super::log::RecordedRequest;
use super::state::{FakeState, lock, timestamp};
use super::workspaces::{Site, slug};
use crate::grant::scope::Scope;

const COLLECTIONS: [(&str, &str); 3] =
    [("Blog Posts", "Blog Post"), ("Authors", "Author"), ("Categories", "Category")];

const MAX_LIMIT: usize = 100;

/// Prefix of cursors, so that none is mistaken for an offset.
const CURSOR: &str = "from-";

fn collection_id(site_id: &str, name: &str) -> String {
    id_from(&["collection", site_id, name])
}

fn has_collection(site: &Site, id: &str) -> bool {
    COLLECTIONS.iter().any(|(name, _)| collection_id(site.id(), name) == id)
}

/// `GET /v2/sites/{site_id}/collections`. Unlike Webflow, the fake paginates this list, so that
/// pagination can be tested without creating a hundred items.
pub(super) fn collections(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_grant(fake, request, Some(&Scope::CMS_READ), |grant| {
        if let Some(refused) = refuse_site(fake, grant, |site| site.id() == site_id) {
            return refused;
        }
        let created = timestamp(fake.started_at);
        let all: Vec<Value> = COLLECTIONS
            .iter()
            .map(|(name, singular)| {
                json!({
                    "id": collection_id(site_id, name),
                    "displayName": name,
                    "singularName": singular,
                    "slug": slug(name),
                    "createdOn": created,
                    "lastUpdated": created,
                })
            })
            .collect();
        page_of(fake, &all, "collections", request)
    })
}

/// `GET /v2/collections/{collection_id}/items`.
pub(super) fn items(fake: &FakeState, request: &RecordedRequest, collection_id: &str) -> Answer {
    with_grant(fake, request, Some(&Scope::CMS_READ), |grant| {
        if let Some(refused) = refuse_site(fake, grant, |it| has_collection(it, collection_id)) {
            return refused;
        }
        let items = lock(&fake.items);
        let all = items.get(collection_id).map_or(&[][..], Vec::as_slice);
        page_of(fake, all, "items", request)
    })
}

/// `POST /v2/collections/{collection_id}/items`.
pub(super) fn create_item(
    fake: &FakeState,
    request: &RecordedRequest,
    collection_id: &str,
) -> Answer {
    with_grant(fake, request, Some(&Scope::CMS_WRITE), |grant| {
        if let Some(refused) = refuse_site(fake, grant, |it| has_collection(it, collection_id)) {
            return refused;
        }
        let body = request.json().unwrap_or_default();
        let Some(fields) = field_data(&body) else {
            return invalid("fieldData.name is missing or not a string");
        };
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let now = timestamp(fake.clock.now());
        let item = json!({
            "id": fake.ids.id(),
            "cmsLocaleId": null,
            "lastPublished": null,
            "lastUpdated": now,
            "createdOn": now,
            "isArchived": flag("isArchived"),
            "isDraft": flag("isDraft"),
            "fieldData": fields,
        });
        lock(&fake.items).entry(collection_id.to_owned()).or_default().push(item.clone());
        json(StatusCode::ACCEPTED, &item)
    })
}

/// The fields of an item with its slug, which Webflow derives from the name if missing.
fn field_data(body: &Value) -> Option<Map<String, Value>> {
    let mut fields = body.get("fieldData")?.as_object()?.clone();
    let name = fields.get("name")?.as_str()?.to_owned();
    fields.entry("slug").or_insert_with(|| slug(&name).into());
    Some(fields)
}

/// The requested part of a list, in the configured format.
fn page_of(fake: &FakeState, all: &[Value], name: &str, request: &RecordedRequest) -> Answer {
    let param = |param: &str| {
        request.query().iter().find(|(key, _)| key == param).map(|(_, value)| value.as_str())
    };
    let number = |text: Option<&str>, default| text.map_or(Ok(default), str::parse::<usize>);
    let shape = fake.settings().list_shape;
    let begin = match shape {
        ListShape::Cursor => number(param("cursor").map(|it| it.trim_start_matches(CURSOR)), 0),
        _ => number(param("offset"), 0),
    };
    let (Ok(begin), Ok(limit @ ..=MAX_LIMIT)) = (begin, number(param("limit"), MAX_LIMIT)) else {
        return invalid("offset and limit must be numbers, limit at most 100");
    };
    let total = all.len();
    let page: Vec<&Value> = all.iter().skip(begin).take(limit).collect();
    let end = begin + page.len();
    let answer = match shape {
        ListShape::Offset => {
            json!({name: page, "pagination": {"limit": limit, "offset": begin, "total": total}})
        }
        ListShape::Cursor => {
            let next = (end < total).then(|| format!("{CURSOR}{end}"));
            json!({name: page, "pagination": {"limit": limit, "nextCursor": next}})
        }
        ListShape::Whole => {
            json!({name: all, "pagination": {"limit": MAX_LIMIT, "offset": 0, "total": total}})
        }
        ListShape::Null => json!({name: null}),
    };
    json(StatusCode::OK, &answer)
}

fn invalid(message: &str) -> Answer {
    api_error(StatusCode::BAD_REQUEST, "validation_error", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_from_the_name_unless_given() {
        let fields = field_data(&json!({"fieldData": {"name": "My Post"}})).unwrap();
        assert_eq!(fields["slug"], "my-post");
        let fields = field_data(&json!({"fieldData": {"name": "My Post", "slug": "x"}})).unwrap();
        assert_eq!(fields["slug"], "x");
        for bad in [json!({}), json!({"fieldData": {}}), json!({"fieldData": {"name": 1}})] {
            assert!(field_data(&bad).is_none());
        }
    }
}

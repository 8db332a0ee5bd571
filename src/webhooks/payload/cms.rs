//! Items of collections.

use serde_json::{Map, Value};

use super::payloads;

payloads! {
    /// `collection_item_created`, `collection_item_changed`, `collection_item_deleted`,
    /// `collection_item_unpublished`.
    CollectionItem {
        /// The item.
        id: String,
        /// The site.
        site_id: String,
        /// The workspace.
        workspace_id: String,
        /// The collection.
        collection_id: String,
        /// The locale of the item.
        cms_locale_id: String,
        /// When it was last published.
        last_published: String,
        /// When it was last changed.
        last_updated: String,
        /// When it was created.
        created_on: String,
        /// Whether it is archived.
        is_archived: bool,
        /// Whether it is a draft.
        is_draft: bool,
        /// The item's fields by their slugs, with at least `name` and `slug`.
        field_data: Map<String, Value>,
    }
}

/// `collection_item_published`: one or more items were published.
///
/// Webflow's documentation has a list here, and its SDK a single item. Both are accepted.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(from = "Shapes")]
#[non_exhaustive]
pub struct PublishedItems {
    items: Vec<CollectionItem>,
}

impl PublishedItems {
    /// The published items.
    pub fn items(&self) -> &[CollectionItem] {
        &self.items
    }
}

#[derive(serde::Deserialize)]
struct Shapes {
    #[serde(default)]
    items: Option<Vec<CollectionItem>>,
    #[serde(flatten)]
    item: CollectionItem,
}

impl From<Shapes> for PublishedItems {
    fn from(shapes: Shapes) -> Self {
        let single = || (shapes.item.id.is_some()).then_some(shapes.item).into_iter().collect();
        Self { items: shapes.items.unwrap_or_else(single) }
    }
}

//! The kinds of events.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The kind of an event, the `triggerType` of a webhook.
///
/// Webflow adds kinds over time. A kind that this version does not know is [`Other`](Self::Other),
/// and reaches the handler like any other. Source: Webflow Data API, *All Events*.
///
/// ```
/// use tower_webflow_auth::webhooks::Trigger;
///
/// assert_eq!(Trigger::from("site_publish"), Trigger::SitePublish);
/// assert_eq!(Trigger::SitePublish.as_str(), "site_publish");
/// assert_eq!(Trigger::from("something_new"), Trigger::Other("something_new".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// A visitor submitted a form: [`FormSubmission`](super::payload::FormSubmission).
    FormSubmission,
    /// A site was published: [`SitePublish`](super::payload::SitePublish).
    SitePublish,
    /// A page was created: [`Page`](super::payload::Page).
    PageCreated,
    /// A page's metadata was changed and published: [`Page`](super::payload::Page).
    PageMetadataUpdated,
    /// A page was deleted: [`Page`](super::payload::Page).
    PageDeleted,
    /// An order was placed: [`Order`](super::payload::Order).
    EcommNewOrder,
    /// An order changed: [`Order`](super::payload::Order).
    EcommOrderChanged,
    /// The stock of an item changed: [`Inventory`](super::payload::Inventory).
    EcommInventoryChanged,
    /// An item was created: [`CollectionItem`](super::payload::CollectionItem).
    CollectionItemCreated,
    /// An item was changed: [`CollectionItem`](super::payload::CollectionItem).
    CollectionItemChanged,
    /// An item was deleted: [`CollectionItem`](super::payload::CollectionItem).
    CollectionItemDeleted,
    /// Items were published: [`PublishedItems`](super::payload::PublishedItems).
    CollectionItemPublished,
    /// An item was taken off the live site: [`CollectionItem`](super::payload::CollectionItem).
    CollectionItemUnpublished,
    /// A comment or a reply was written: [`Comment`](super::payload::Comment).
    CommentCreated,
    /// A page branch was created: [`Branch`](super::payload::Branch).
    BranchCreated,
    /// A page branch was merged: [`Branch`](super::payload::Branch).
    BranchMerged,
    /// A page branch was deleted without a merge: [`Branch`](super::payload::Branch).
    BranchDeleted,
    /// A kind that this version does not know.
    Other(String),
}

impl Trigger {
    /// All kinds that this version knows.
    pub const KNOWN: [Self; 17] = [
        Self::FormSubmission,
        Self::SitePublish,
        Self::PageCreated,
        Self::PageMetadataUpdated,
        Self::PageDeleted,
        Self::EcommNewOrder,
        Self::EcommOrderChanged,
        Self::EcommInventoryChanged,
        Self::CollectionItemCreated,
        Self::CollectionItemChanged,
        Self::CollectionItemDeleted,
        Self::CollectionItemPublished,
        Self::CollectionItemUnpublished,
        Self::CommentCreated,
        Self::BranchCreated,
        Self::BranchMerged,
        Self::BranchDeleted,
    ];

    /// The `triggerType`, as Webflow writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::FormSubmission => "form_submission",
            Self::SitePublish => "site_publish",
            Self::PageCreated => "page_created",
            Self::PageMetadataUpdated => "page_metadata_updated",
            Self::PageDeleted => "page_deleted",
            Self::EcommNewOrder => "ecomm_new_order",
            Self::EcommOrderChanged => "ecomm_order_changed",
            Self::EcommInventoryChanged => "ecomm_inventory_changed",
            Self::CollectionItemCreated => "collection_item_created",
            Self::CollectionItemChanged => "collection_item_changed",
            Self::CollectionItemDeleted => "collection_item_deleted",
            Self::CollectionItemPublished => "collection_item_published",
            Self::CollectionItemUnpublished => "collection_item_unpublished",
            Self::CommentCreated => "comment_created",
            Self::BranchCreated => "branch_created",
            Self::BranchMerged => "branch_merged",
            Self::BranchDeleted => "branch_deleted",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for Trigger {
    fn from(text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|known| known.as_str() == text);
        known.unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

impl FromStr for Trigger {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_trigger_round_trips() {
        for trigger in Trigger::KNOWN {
            assert_eq!(Trigger::from(trigger.as_str()), trigger);
            assert!(!matches!(Trigger::from(trigger.as_str()), Trigger::Other(_)));
        }
        assert_eq!("site_published".parse(), Ok(Trigger::Other("site_published".to_owned())));
    }
}

//! Types for the payloads of events; see [`WebflowEvent::payload`](super::WebflowEvent::payload).
//!
//! Every field is optional, since Webflow documents few of them as required. A field that Webflow
//! omits or sets to `null` is `None`. Unknown fields are ignored; use `serde_json::Value` to read
//! them. Times are RFC 3339 strings, as Webflow sends them. Source: Webflow Data API, *All Events*,
//! and the types of the official JavaScript SDK.

mod cms;
mod ecommerce;
mod site;

pub use cms::{CollectionItem, PublishedItems};
pub use ecommerce::{Customer, Inventory, Order, OrderAddress, OrderPrice, PurchasedItem};
pub use site::{Branch, Comment, CommentUser, FormField, FormSubmission, Page, SitePublish};

/// Declares payloads: each field is optional and has Webflow's name in camel case.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(default, rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }
    )* };
}

use payloads;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    /// Deserializes the payload, and asserts that it serializes to the same JSON.
    fn whole<T: DeserializeOwned + serde::Serialize>(payload: &Value) -> T {
        let read: T = serde_json::from_value(payload.clone()).unwrap();
        assert_eq!(&serde_json::to_value(&read).unwrap(), payload);
        read
    }

    #[test]
    fn documented_examples_round_trip() {
        let form: FormSubmission = whole(&json!({
            "name": "Contact Us", "siteId": "65427cf400e02b306eaa049c",
            "data": { "First Name": "Zaphod", "Phone Number": 15_550_000_000_u64 },
            "schema": [{ "fieldName": "First Name", "fieldType": "FormTextInput",
                         "fieldElementId": "285042f7-d554-dc7f-102c-aa10d6a2d2c4" }],
            "submittedAt": "2022-09-14T12:35:16.117Z", "id": "6321ca84df3949bfc6752327",
            "formId": "65429eadebe8a9f3a30f62d0",
            "formElementId": "4e038d2c-6a1e-4953-7be9-a59a2b453177",
        }));
        assert_eq!(form.data.unwrap()["First Name"], "Zaphod");
        let publish: SitePublish = whole(&json!({
            "siteId": "62749158efef318abc8d5a0f", "publishedOn": "2023-07-31T12:34:56.789Z",
            "domains": ["my-website.webflow.io"], "publishedBy": { "displayName": "Some One" },
        }));
        assert_eq!(publish.domains.unwrap(), ["my-website.webflow.io"]);
        for time in ["createdOn", "lastUpdated", "deletedOn"] {
            let page: Page = whole(&json!({
                "siteId": "63499e4e6e9ed55a17e42b68", "pageId": "641371d477a18c936fe237cd",
                "pageTitle": "Home", "publishedPath": "/", time: "2023-03-16T19:48:48.499Z",
            }));
            assert_eq!(page.page_title.as_deref(), Some("Home"));
        }
        for (by, on) in
            [("createdBy", "createdOn"), ("mergedBy", "mergedOn"), ("deletedBy", "deletedOn")]
        {
            let branch: Branch = whole(&json!({
                "siteId": "s", "branchId": "b", "pageId": "p", "parentPageId": "", "pageName": "n",
                by: "u", on: "2026-08-27T00:00:00Z",
            }));
            assert_eq!(branch.branch_id.as_deref(), Some("b"));
        }
        let comment: Comment = whole(&json!({
            "threadId": "t", "commentId": "c", "type": "reply", "siteId": "s", "pageId": "p",
            "localeId": "l", "itemId": "i", "breakpoint": "main", "url": "https://x.webflow.io",
            "content": "Nice", "isResolved": false,
            "author": { "userId": "u", "email": "a@example.com", "name": "A" },
            "mentionedUsers": [{ "userId": "v", "email": "b@example.com", "name": "B" }],
            "createdOn": "2025-01-01T00:00:00Z", "lastUpdated": "2025-01-01T00:00:00Z",
        }));
        assert_eq!(comment.kind.as_deref(), Some("reply"));
    }

    #[test]
    fn items_and_orders_round_trip() {
        let item = json!({
            "id": "699b9529a9f8b010bafa9671", "siteId": "6876e40ec4e60da1478fdc0f",
            "workspaceId": "6875887fa03e727e0e0dd03d", "collectionId": "699b93f1d1611a428291c333",
            "cmsLocaleId": "699b93f1a6406af4b29614b4", "lastPublished": "2026-02-22T23:45:45.885Z",
            "lastUpdated": "2026-02-22T23:45:45.885Z", "createdOn": "2026-02-22T23:45:45.885Z",
            "isArchived": false, "isDraft": true, "fieldData": { "name": "A", "slug": "a" },
        });
        let read: CollectionItem = whole(&item);
        let listed: PublishedItems = whole(&json!({ "items": [item] }));
        assert_eq!(listed.items(), std::slice::from_ref(&read));
        // The SDK's types have the item itself where the documentation has a list.
        let single: PublishedItems = serde_json::from_value(item).unwrap();
        assert_eq!(single.items(), [read]);

        let inventory: Inventory = whole(
            &json!({ "id": "5bfedb42bab0ad90fa7dad39", "quantity": 10, "inventoryType": "finite" }),
        );
        assert_eq!(inventory.quantity, Some(10));
        let price = json!({ "unit": "USD", "value": 5892, "string": "$58.92" });
        let address = json!({
            "type": "shipping", "addressee": "A", "line1": "1", "line2": "2", "city": "C",
            "state": "S", "country": "US", "postalCode": "94103",
        });
        let order: Order = whole(&json!({
            "orderId": "dfa-3f1", "status": "unfulfilled", "comment": "", "orderComment": "",
            "acceptedOn": "2018-12-03T22:06:15.761Z", "customerPaid": price, "netAmount": price,
            "allAddresses": [address], "shippingAddress": address, "billingAddress": address,
            "customerInfo": { "fullName": "A B", "email": "a@example.com" },
            "purchasedItems": [{ "count": 1, "rowTotal": price, "productId": "p",
                "productName": "N", "variantId": "v", "variantSku": "k", "variantPrice": price }],
            "purchasedItemsCount": 1, "isShippingRequired": true, "paymentProcessor": "stripe",
            "totals": { "subtotal": price, "extras": [], "total": price },
        }));
        assert_eq!(order.purchased_items.unwrap()[0].count, Some(1));
    }

    #[test]
    fn missing_and_null_fields_are_accepted_but_wrong_types_are_errors() {
        fn lenient<T: DeserializeOwned + Default + PartialEq + std::fmt::Debug>() {
            for text in ["{}", r#"{"siteId": null, "id": null, "items": null, "x": [1]}"#] {
                assert_eq!(serde_json::from_str::<T>(text).unwrap(), T::default());
            }
            assert!(serde_json::from_str::<T>("7").is_err());
        }
        lenient::<FormSubmission>();
        lenient::<SitePublish>();
        lenient::<Page>();
        lenient::<Branch>();
        lenient::<Comment>();
        lenient::<CollectionItem>();
        lenient::<PublishedItems>();
        lenient::<Order>();
        lenient::<Inventory>();
        assert!(serde_json::from_str::<Page>(r#"{"siteId": 7}"#).is_err());
    }
}

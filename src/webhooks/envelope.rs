//! The parts of a body that the layer itself needs: the trigger and two IDs.
//!
//! They are read in one pass that stores nothing else.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::webflow::is_plain_id;

/// The longest `triggerType` in bytes.
const MAX_TRIGGER: usize = 128;

/// The part of a body that every event has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub trigger: String,
    pub site_id: Option<String>,
    pub workspace_id: Option<String>,
}

impl Envelope {
    /// `None` unless the body is a JSON object with a string `triggerType` of up to 128 bytes.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a triggerType")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let (mut trigger, mut ids) = (None::<String>, Ids::default());
        while let Some(Key(key)) = map.next_key()? {
            match key {
                Some(Field::TriggerType) if trigger.is_some() => {
                    return Err(Error::duplicate_field("triggerType"));
                }
                Some(Field::TriggerType) => trigger = Some(map.next_value()?),
                Some(Field::Payload) => ids = map.next_value()?,
                _ => {
                    map.next_value::<Skipped>()?;
                }
            }
        }
        let trigger = trigger.ok_or_else(|| Error::missing_field("triggerType"))?;
        if trigger.len() > MAX_TRIGGER {
            return Err(Error::custom("triggerType is too long"));
        }
        Ok(Envelope { trigger, site_id: ids.site, workspace_id: ids.workspace })
    }
}

/// The IDs of a payload. `None` if it is not an object, or the ID is malformed.
#[derive(Default)]
struct Ids {
    site: Option<String>,
    workspace: Option<String>,
}

enum Field {
    TriggerType,
    Payload,
    SiteId,
    WorkspaceId,
    Items,
}

/// A key of an object, `None` if it is irrelevant.
struct Key(Option<Field>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                Ok(Key(match key {
                    "triggerType" => Some(Field::TriggerType),
                    "payload" => Some(Field::Payload),
                    "siteId" => Some(Field::SiteId),
                    "workspaceId" => Some(Field::WorkspaceId),
                    "items" => Some(Field::Items),
                    _ => None,
                }))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// Any value. Unlike [`IgnoredAny`], it enforces the parser's depth limit.
struct Skipped;

/// A string that has the form of an ID, or `None` for any other value.
struct Id(Option<String>);

/// The IDs of a list's first element, since published items come as a list.
struct First(Ids);

/// Implements a visitor that accepts any value: `$otherwise`, unless one of the methods handles it.
macro_rules! lenient {
    ($type:ty, $otherwise:expr, { $($method:item)* }) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Lenient;
                impl<'de> Visitor<'de> for Lenient {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a value")
                    }

                    fn visit_bool<E: Error>(self, _: bool) -> Result<$type, E> {
                        Ok($otherwise)
                    }

                    fn visit_i64<E: Error>(self, _: i64) -> Result<$type, E> {
                        Ok($otherwise)
                    }

                    fn visit_u64<E: Error>(self, _: u64) -> Result<$type, E> {
                        Ok($otherwise)
                    }

                    fn visit_f64<E: Error>(self, _: f64) -> Result<$type, E> {
                        Ok($otherwise)
                    }

                    fn visit_unit<E: Error>(self) -> Result<$type, E> {
                        Ok($otherwise)
                    }

                    $($method)*
                }
                deserializer.deserialize_any(Lenient)
            }
        }
    };
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, Skipped>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<Skipped>()?.is_some() {}
    Ok(())
}

lenient!(Skipped, Skipped, {
    fn visit_str<E: Error>(self, _: &str) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Skipped, A::Error> {
        skip_seq(seq).map(|()| Skipped)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Skipped, A::Error> {
        skip_map(map).map(|()| Skipped)
    }
});

lenient!(Id, Id(None), {
    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        Ok(Id(is_plain_id(text).then(|| text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Id, A::Error> {
        skip_seq(seq).map(|()| Id(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Id, A::Error> {
        skip_map(map).map(|()| Id(None))
    }
});

lenient!(Ids, Ids::default(), {
    fn visit_str<E: Error>(self, _: &str) -> Result<Ids, E> {
        Ok(Ids::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Ids, A::Error> {
        skip_seq(seq).map(|()| Ids::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids, A::Error> {
        let (mut site, mut workspace, mut item) = (None, None, Ids::default());
        while let Some(Key(key)) = map.next_key()? {
            match key {
                Some(Field::SiteId) => site = Some(map.next_value::<Id>()?.0),
                Some(Field::WorkspaceId) => workspace = Some(map.next_value::<Id>()?.0),
                Some(Field::Items) => item = map.next_value::<First>()?.0,
                _ => {
                    map.next_value::<Skipped>()?;
                }
            }
        }
        // An item's ID counts only if the payload has no such field.
        Ok(Ids { site: site.unwrap_or(item.site), workspace: workspace.unwrap_or(item.workspace) })
    }
});

lenient!(First, First(Ids::default()), {
    fn visit_str<E: Error>(self, _: &str) -> Result<First, E> {
        Ok(First(Ids::default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First, A::Error> {
        let first = seq.next_element::<Ids>()?.unwrap_or_default();
        skip_seq(seq).map(|()| First(first))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<First, A::Error> {
        skip_map(map).map(|()| First(Ids::default()))
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Option<Envelope> {
        Envelope::parse(body.as_bytes())
    }

    fn ids(payload: &str) -> (Option<String>, Option<String>) {
        let body = format!(r#"{{"payload": {payload}, "x": [1, {{}}], "triggerType": "a"}}"#);
        let envelope = parse(&body).unwrap_or_else(|| panic!("{payload}"));
        (envelope.site_id, envelope.workspace_id)
    }

    #[test]
    fn the_trigger_and_the_ids_are_read() {
        let body = r#"{"triggerType": "collection_item_changed", "payload": {"id": "1",
            "siteId": "5f0c8c9e1c9d440000e8d8c3", "workspaceId": "w-1_A", "fieldData": {"a": [1]}}}"#;
        assert_eq!(
            parse(body),
            Some(Envelope {
                trigger: "collection_item_changed".to_owned(),
                site_id: Some("5f0c8c9e1c9d440000e8d8c3".to_owned()),
                workspace_id: Some("w-1_A".to_owned()),
            })
        );
    }

    #[test]
    fn h8_a_body_without_a_string_trigger_is_none() {
        let long = format!(r#"{{"triggerType": "{}"}}"#, "a".repeat(129));
        for body in [
            "",
            "[]",
            "null",
            "1",
            "\"site_publish\"",
            "{}",
            r#"{"payload": {}}"#,
            r#"{"triggerType": 7}"#,
            r#"{"triggerType": null}"#,
            r#"{"triggerType": ["a"]}"#,
            r#"{"triggerType": "a"} x"#,
            r#"{"triggerType": "a""#,
            r#"{"triggerType": "\ud800"}"#,
            r#"{"triggerType": "a", "triggerType": "b"}"#,
            "\u{feff}{\"triggerType\": \"a\"}",
            &long,
        ] {
            assert_eq!(parse(body), None, "{body}");
        }
        let longest = format!(r#"{{"triggerType": "{}"}}"#, "a".repeat(128));
        assert_eq!(parse(&longest).unwrap().trigger.len(), 128);
        assert_eq!(Envelope::parse(b"{\"triggerType\": \"\xff\"}"), None, "not UTF-8");
    }

    #[test]
    fn h8_a_payload_of_any_type_passes_and_odd_ids_are_none() {
        assert_eq!(parse(r#"{"triggerType": "a"}"#).unwrap().site_id, None);
        for payload in
            ["null", "true", "-1", "1.5e3", "\"text\"", "[]", "[{\"siteId\": \"s\"}]", "{}"]
        {
            assert_eq!(ids(payload), (None, None), "{payload}");
        }
        let long = format!("\"{}\"", "a".repeat(65));
        let mega = format!("\"{}\"", "a".repeat(1 << 20));
        for id in [
            "null",
            "7",
            "[\"s\"]",
            "{\"a\": 1}",
            "\"\"",
            "\"a b\"",
            "\"../x\"",
            "\"é\"",
            &long,
            &mega,
        ] {
            assert_eq!(ids(&format!(r#"{{"siteId": {id}, "workspaceId": {id}}}"#)), (None, None));
        }
        let longest = "a".repeat(64);
        assert_eq!(ids(&format!(r#"{{"siteId": "{longest}"}}"#)).0, Some(longest));
    }

    #[test]
    fn the_ids_of_published_items_are_those_of_the_first() {
        let (site, workspace) = (Some("s1".to_owned()), Some("w1".to_owned()));
        let items = r#""items": [{"siteId": "s1", "workspaceId": "w1"}, {"siteId": "s2"}]"#;
        assert_eq!(ids(&format!("{{{items}}}")), (site.clone(), workspace.clone()));
        assert_eq!(ids(&format!(r#"{{"siteId": "s", {items}}}"#)), (Some("s".into()), workspace));
        assert_eq!(ids(&format!(r#"{{"siteId": 1, {items}}}"#)).0, None);
        for odd in ["[]", "1", "\"a\"", "[1, {\"siteId\": \"s\"}]", "{\"siteId\": \"s\"}"] {
            assert_eq!(ids(&format!("{{\"items\": {odd}}}")), (None, None), "{odd}");
        }
    }

    #[test]
    fn h8_depth_beyond_the_parsers_limit_is_none() {
        let nested = |depth: usize| {
            let payload = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            parse(&format!(r#"{{"triggerType": "a", "payload": {payload}}}"#))
        };
        assert!(nested(100).is_some());
        assert!(nested(128).is_none());
        assert!(nested(100_000).is_none());
    }
}

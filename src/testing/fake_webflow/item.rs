//! One CMS item: its staged and its live version, and its slug.

use serde_json::{Map, Value, json};

use super::state::{FakeState, timestamp};
use super::workspaces::{Site, slug};

/// Which of an item's two versions is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Staged,
    Live,
}

/// An item as the API answers it.
pub struct Item {
    pub staged: Value,
    live: Option<Value>,
}

impl Item {
    pub fn new(
        fake: &FakeState,
        site: &Site,
        body: &Value,
        fields: &Map<String, Value>,
        to: Version,
    ) -> Self {
        let now = timestamp(fake.clock.now());
        let flag = |name: &str| body.get(name).and_then(Value::as_bool);
        let mut item = Self {
            staged: json!({
                "id": fake.ids.id(),
                "cmsLocaleId": site.cms_locale_id(),
                "lastPublished": null,
                "lastUpdated": now,
                "createdOn": now,
                "isArchived": flag("isArchived").unwrap_or(false),
                "isDraft": flag("isDraft").unwrap_or(to == Version::Staged),
                "fieldData": fields,
            }),
            live: None,
        };
        if to == Version::Live {
            item.publish(&now);
        }
        item
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.staged.get(name)?.as_str()
    }

    pub fn id(&self) -> &str {
        self.text("id").unwrap_or_default()
    }

    pub fn slug(&self) -> Option<&str> {
        self.staged.get("fieldData")?.get("slug")?.as_str()
    }

    pub fn version(&self, version: Version) -> Option<&Value> {
        match version {
            Version::Staged => Some(&self.staged),
            Version::Live => self.live.as_ref(),
        }
    }

    pub fn goes_live_with_the_site(&self) -> bool {
        let is = |name: &str| self.staged.get(name).and_then(Value::as_bool).unwrap_or(false);
        !is("isDraft") && !is("isArchived")
    }

    pub fn publish(&mut self, now: &str) {
        self.set("lastPublished", now.into());
        self.set("isDraft", false.into());
        self.live = Some(self.staged.clone());
    }

    /// Takes the live version back; the staged one becomes a draft.
    pub fn unpublish(&mut self) {
        self.live = None;
        self.set("isDraft", true.into());
    }

    pub fn update(&mut self, body: &Value, now: &str, version: Version) {
        for flag in ["isArchived", "isDraft"] {
            if let Some(value) = body.get(flag).filter(|value| value.is_boolean()) {
                self.set(flag, value.clone());
            }
        }
        let fields = body.get("fieldData").and_then(Value::as_object);
        let own = self.staged.get_mut("fieldData").and_then(Value::as_object_mut);
        if let (Some(fields), Some(own)) = (fields, own) {
            own.extend(fields.clone());
        }
        self.set("lastUpdated", now.into());
        if version == Version::Live {
            self.publish(now);
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(item) = self.staged.as_object_mut() {
            item.insert(name.to_owned(), value);
        }
    }
}

/// The fields of a new item. A slug that is not given is made from the name; one that is given must
/// be free.
pub fn fields_of(body: &Value, others: &[Item]) -> Result<Map<String, Value>, String> {
    let fields = body.get("fieldData").and_then(Value::as_object);
    let mut fields = fields.ok_or("fieldData is missing or not an object")?.clone();
    let name = fields.get("name").and_then(Value::as_str);
    let name = name.ok_or("fieldData.name is missing or not a string")?;
    let is_taken = |slug: &str| others.iter().any(|item| item.slug() == Some(slug));
    let slug = match fields.get("slug") {
        None | Some(Value::Null) => free_slug(&slug(name), is_taken),
        Some(given) => checked_slug(given, is_taken)?,
    };
    fields.insert("slug".to_owned(), slug.into());
    Ok(fields)
}

pub fn checked_slug(given: &Value, is_taken: impl Fn(&str) -> bool) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let good = |slug: &&str| (1..=256).contains(&slug.len()) && slug.bytes().all(known);
    let slug = given.as_str().filter(good);
    let slug =
        slug.ok_or("fieldData.slug may have letters, digits, dashes and underscores only")?;
    if is_taken(slug) {
        return Err(format!("fieldData.slug: '{slug}' is taken by another item"));
    }
    Ok(slug.to_owned())
}

fn free_slug(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let wanted = if wanted.is_empty() { "item" } else { wanted };
    let numbered = (2_u32..).map(|number| format!("{wanted}-{number}"));
    let mut slugs = std::iter::once(wanted.to_owned()).chain(numbered);
    slugs.find(|slug| !is_taken(slug)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_from_the_name_unless_given() {
        let fields = |body: Value| fields_of(&body, &[]);
        let slug = |body| fields(body).unwrap()["slug"].clone();
        assert_eq!(slug(json!({"fieldData": {"name": "My Post"}})), "my-post");
        assert_eq!(slug(json!({"fieldData": {"name": "My Post", "slug": "x"}})), "x");
        assert_eq!(slug(json!({"fieldData": {"name": "é"}})), "item");
        for bad in [
            json!({}),
            json!({"fieldData": {}}),
            json!({"fieldData": {"name": 1}}),
            json!({"fieldData": {"name": "x", "slug": "a b"}}),
            json!({"fieldData": {"name": "x", "slug": ""}}),
        ] {
            assert!(fields(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slug_that_is_taken_is_numbered() {
        assert_eq!(free_slug("a", |slug| ["a", "a-2"].contains(&slug)), "a-3");
    }
}

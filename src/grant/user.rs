//! The Webflow user behind a grant.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A Webflow user, who authorized a grant or uses a Designer Extension.
///
/// An extractor behind [`WebflowAuthLayer`](crate::WebflowAuthLayer): it yields the user of
/// [`WebflowToken::user`](crate::WebflowToken::user), which needs the scope `authorized_user:read`.
/// A field that Webflow omits is `None`. Source: Webflow Data API, Token, *Get Authorization User
/// Info*.
///
/// ```no_run
/// use tower_webflow_auth::WebflowUser;
///
/// async fn greet(user: WebflowUser) -> String {
///     format!("Hello {}", user.first_name.as_deref().unwrap_or("there"))
/// }
/// ```
///
/// # Security
/// Webflow does not state that it verifies the email address. Identify a user by `id`, and never
/// match an existing account by email address alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebflowUser {
    /// The user's ID at Webflow.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// The email address, which is not verified.
    #[serde(deserialize_with = "text")]
    pub email: Option<String>,
    /// The first name.
    #[serde(deserialize_with = "text")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(deserialize_with = "text")]
    pub last_name: Option<String>,
}

/// A string or number. Anything else counts as omitted.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_may_be_missing_or_of_another_type() {
        let read = |json| serde_json::from_value::<WebflowUser>(json).unwrap();
        assert_eq!(read(json!({})), WebflowUser::default());
        assert_eq!(read(json!({"id": null, "email": ["a"], "x": 1})), WebflowUser::default());
        let user = read(json!({"id": 7, "email": "ada@example.com", "firstName": ""}));
        assert_eq!(user.id.as_deref(), Some("7"));
        assert_eq!(user.first_name.as_deref(), Some(""));
        assert_eq!(
            serde_json::to_value(user).unwrap(),
            json!({"id": "7", "email": "ada@example.com", "firstName": "", "lastName": null})
        );
        assert!(serde_json::from_value::<WebflowUser>(json!(null)).is_err());
    }
}

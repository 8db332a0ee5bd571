//! The unverified claims of a panel: its site, its workspace and its user.

use serde_json::{Map, Value};

use crate::lifecycle::id_token::is_id_token;
use crate::problem::{Problem, catalog};
use crate::webflow::is_plain_id;

/// The body of a panel's request. None of it can be trusted before Webflow has confirmed it.
pub struct Claim {
    pub site_id: String,
    pub workspace_id: Option<String>,
    pub id_token: String,
}

impl Claim {
    /// # Errors
    /// 400 if the body is not an object with the IDs, 401 if only the ID token is malformed.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        let fields: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
        let mut fields = fields.ok_or_else(catalog::panel::malformed)?;
        let mut id = |name: &str| match fields.remove(name) {
            None => Ok(None),
            Some(Value::String(id)) if is_plain_id(&id) => Ok(Some(id)),
            Some(_) => Err(catalog::panel::malformed()),
        };
        let (site_id, workspace_id) = (id("siteId")?, id("workspaceId")?);
        let site_id = site_id.ok_or_else(catalog::panel::malformed)?;
        match fields.remove("idToken") {
            Some(Value::String(id_token)) if is_id_token(&id_token) => {
                Ok(Self { site_id, workspace_id, id_token })
            }
            _ => Err(catalog::panel::id_token_refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(body: &[u8]) -> u16 {
        Claim::read(body).map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    fn status_of(body: &Value) -> u16 {
        status(body.to_string().as_bytes())
    }

    #[test]
    fn b1_a_claim_must_be_an_object_with_a_site() {
        assert_eq!(status_of(&json!({"siteId": "65427cf4", "idToken": "a.b-c_~+/=", "x": 1})), 200);
        assert_eq!(status_of(&json!({"siteId": "s", "workspaceId": "w", "idToken": "t"})), 200);
        for body in ["", "null", "[]", "\"x\"", "{", "{}", "\u{feff}{}", "{\"siteId\":\"s\"} x"] {
            assert_eq!(status(body.as_bytes()), 400, "{body}");
        }
        assert_eq!(status(b"{\"siteId\":\"\xff\",\"idToken\":\"t\"}"), 400);
        let long = "x".repeat(65);
        for id in
            [json!(null), json!(7), json!(""), json!("a b"), json!("a/b"), json!("é"), json!(long)]
        {
            assert_eq!(status_of(&json!({"siteId": id, "idToken": "t"})), 400, "{id}");
            let workspace = json!({"siteId": "s", "workspaceId": id, "idToken": "t"});
            assert_eq!(status_of(&workspace), 400, "{id}");
        }
    }

    #[test]
    fn b1_a_missing_or_malformed_id_token_is_refused() {
        assert_eq!(status_of(&json!({"siteId": "s"})), 401);
        let long = "x".repeat(8193);
        for token in [json!(null), json!(7), json!(""), json!("a b"), json!("a\n"), json!(long)] {
            assert_eq!(status_of(&json!({"siteId": "s", "idToken": token})), 401, "{token}");
        }
        assert_eq!(status_of(&json!({"siteId": "s", "idToken": "x".repeat(8192)})), 200);
    }
}

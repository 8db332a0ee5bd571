//! Describes scopes to the user who grants them.

use crate::grant::scope::{Scope, Scopes};

/// What an app may do with one kind of resource.
pub struct Permission<'a> {
    /// A sentence without the full stop.
    pub text: String,
    pub scopes: Vec<&'a Scope>,
    /// Whether it allows no changes.
    pub read_only: bool,
}

/// The permissions for these scopes, in the scopes' order. Reading and writing the same resource is
/// one permission.
pub fn permissions(scopes: &Scopes) -> Vec<Permission<'_>> {
    let mut found: Vec<Permission<'_>> = Vec::new();
    for scope in scopes {
        let (resource, action) = scope.as_str().split_once(':').unwrap_or_default();
        let other = match action {
            "read" => "write",
            "write" => "read",
            _ => "",
        };
        let other = format!("{resource}:{other}");
        let pair = found
            .iter_mut()
            .find(|permission| permission.scopes.iter().any(|it| it.as_str() == other));
        if let (Some(permission), Some(thing)) = (pair, thing(resource)) {
            permission.text = format!("See and change {thing}");
            permission.scopes.push(scope);
            permission.read_only = false;
        } else {
            found.push(Permission {
                text: sentence(resource, action),
                scopes: vec![scope],
                read_only: action == "read",
            });
        }
    }
    found
}

fn sentence(resource: &str, action: &str) -> String {
    match (thing(resource), action) {
        (Some(thing), "read") => format!("See {thing}"),
        (Some(thing), "write") => format!("Change {thing}"),
        (Some(thing), "create") => format!("Create {thing}"),
        (Some(thing), "update") => format!("Update {thing}"),
        (Some(thing), "merge") => format!("Merge {thing}"),
        (Some(thing), "publish") => format!("Publish {thing}"),
        (Some(thing), "delete") => format!("Delete {thing}"),
        (Some(thing), other) => format!("Use {thing} ({other})"),
        (None, _) => format!("Use “{resource}” ({action})"),
    }
}

/// Describes the documented resources. Webflow's list grows.
fn thing(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "app_subscriptions" => "your subscriptions to this app",
        "assets" => "your files and images",
        "authorized_user" => "your name and e-mail address",
        "branches" => "branches of your pages",
        "cms" => "your CMS collections and their items",
        "comments" => "comments on your sites",
        "components" => "the components of your sites",
        "custom_code" => "the custom code of your sites",
        "ecommerce" => "your products, orders and stock",
        "forms" => "your forms and what was sent with them",
        "pages" => "your pages and their content",
        "site_access" => "who has access to your sites",
        "site_activity" => "the activity log of your sites",
        "site_config" => "the configuration of your sites, such as redirects",
        "sites" => "your sites and their settings",
        "users" => "the user accounts of your sites",
        "workspace" => "your workspace and its members",
        "workspace_activity" => "the activity log of your workspace",
        "workspace_members" => "the members of your workspace",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_scope_is_explained() {
        for scope in Scope::DOCUMENTED {
            let scopes = Scopes::from([scope.clone()]);
            let permission = &permissions(&scopes)[0];
            let (_, action) = scope.as_str().split_once(':').unwrap();
            let verb = match action {
                "read" => "See",
                "write" => "Change",
                other => other,
            };
            let first = permission.text.split(' ').next().unwrap();
            assert!(first.eq_ignore_ascii_case(verb), "{scope}: {}", permission.text);
            assert_eq!(permission.read_only, action == "read", "{scope}");
        }
    }

    #[test]
    fn reading_and_writing_one_thing_is_one_permission_and_others_stand_alone() {
        let scopes = ["cms:write", "sites:read", "new:list", "cms:read", "new:read", "new:write"];
        let scopes: Scopes = scopes.into_iter().map(|it| Scope::new(it).unwrap()).collect();
        let found: Vec<_> = permissions(&scopes)
            .into_iter()
            .map(|it| (it.text, it.scopes.len(), it.read_only))
            .collect();
        let expected = [
            ("See and change your CMS collections and their items", 2, false),
            ("See your sites and their settings", 1, true),
            ("Use “new” (list)", 1, false),
            ("Use “new” (read)", 1, true),
            ("Use “new” (write)", 1, false),
        ];
        assert_eq!(found, expected.map(|(text, len, only)| (text.to_owned(), len, only)));
    }
}

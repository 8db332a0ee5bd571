//! What scopes mean to the one who grants them.

use crate::Scope;

/// A scope as a sentence without its full stop.
pub(super) fn in_words(scope: &Scope) -> String {
    let (resource, action) = scope.as_str().split_once(':').unwrap_or_default();
    let what = match resource {
        "assets" => "your files and images",
        "authorized_user" => "your name and e-mail address",
        "cms" => "your CMS collections and their items",
        "comments" => "comments on your sites",
        "components" => "the components of your sites",
        "custom_code" => "the custom code of your sites",
        "ecommerce" => "your products, orders and stock",
        "forms" => "your forms and what was sent with them",
        "pages" => "your pages and their content",
        "site_activity" => "the activity log of your sites",
        "site_config" => "the configuration of your sites, such as redirects",
        "sites" => "your sites and their settings",
        "users" => "the user accounts of your sites",
        "workspace" => "your workspace and its members",
        other => return format!("Use “{other}” ({action})"),
    };
    match action {
        "read" => format!("See {what}"),
        "write" => format!("Change {what}"),
        other => format!("Use {what} ({other})"),
    }
}

/// Whether a scope lets an app look only.
pub(super) fn is_read_only(scope: &Scope) -> bool {
    scope.as_str().ends_with(":read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_scope_is_explained() {
        for scope in Scope::DOCUMENTED {
            let words = in_words(scope);
            assert!(words.starts_with("See ") || words.starts_with("Change "));
            assert_eq!(words.starts_with("See "), is_read_only(scope), "{scope}");
        }
        assert_eq!(in_words(&Scope::new("new:list").unwrap()), "Use “new” (list)");
    }
}

//! Descriptions of scopes and times.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tower_webflow_auth::Scope;

/// What a scope lets the demo do, as a sentence without a full stop.
pub(crate) fn scope(scope: &Scope) -> String {
    let (resource, action) = scope.as_str().split_once(':').unwrap_or_default();
    let what = match resource {
        "app_subscriptions" => "your subscriptions to this app",
        "assets" => "your files and images",
        "authorized_user" => "your name and e-mail address",
        "branches" => "branches of your pages",
        "cms" => "your CMS collections and their items",
        "comments" => "comments on your sites",
        "components" => "the components of your sites",
        "custom_code" => "the custom code of your sites",
        "ecommerce" => "your products, orders and stock",
        "forms" => "your forms and their submissions",
        "pages" => "your pages and their content",
        "site_access" => "who has access to your sites",
        "site_activity" => "the activity log of your sites",
        "site_config" => "the configuration of your sites, such as redirects",
        "sites" => "your sites and their settings",
        "workspace" => "your workspace",
        "workspace_activity" => "the activity log of your workspace",
        "workspace_members" => "the members of your workspace",
        other => return format!("Use “{other}” ({action})"),
    };
    match action {
        "read" => format!("See {what}"),
        "write" => format!("Change {what}"),
        "create" => format!("Create {what}"),
        "update" => format!("Update {what}"),
        "merge" => format!("Merge {what}"),
        "publish" => format!("Publish {what}"),
        "delete" => format!("Delete {what}"),
        other => format!("Use {what} ({other})"),
    }
}

pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// How long ago `then` was.
pub(crate) fn ago(then: SystemTime) -> Markup {
    let stamp = OffsetDateTime::from(then).format(&Rfc3339).unwrap_or_default();
    html! { time datetime=(stamp) { (age(then.elapsed().unwrap_or_default())) } }
}

fn age(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    let (n, unit) = match minutes {
        0 => return "just now".to_owned(),
        1..60 => (minutes, "minute"),
        60..1440 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {unit}{plural} ago")
}

//! One grant per workspace, and a switcher between them.
//!
//! The application keeps the user's choice in its own cookie. To connect another workspace, the
//! user opens the login path again. Webflow names a workspace by its ID only, so the switcher names
//! its sites.

mod support;

use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect};
use axum::{Router, routing::get};
use maud::html;
use tower_webflow_auth::api::SiteInfo;
use tower_webflow_auth::{GrantPolicy, WebflowGrants, WebflowToken};

/// The workspace that the browser has chosen.
fn chosen(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("workspace="))
}

async fn home(grants: WebflowGrants, current: Option<WebflowToken>) -> Html<String> {
    let mut workspaces = Vec::new();
    for grant in &grants {
        let is_current = current.as_ref().is_some_and(|it| it.grant_id() == grant.grant_id());
        // A call for each grant; an application would keep the names.
        let sites = grant.api().sites().await.unwrap_or_default();
        for workspace in grant.workspaces() {
            workspaces.push((workspace, label(workspace, &sites), is_current));
        }
    }
    let content = html! {
        ul {
            @for (workspace, label, is_current) in &workspaces {
                li {
                    a href={ "/switch/" (workspace) } { (label) }
                    @if *is_current { " (current)" }
                }
            }
        }
        p { a href="/auth/webflow/login" { "Connect a workspace" } }
    };
    support::page("Workspaces", &content)
}

/// The workspace's sites, such as "Blog and Shop".
fn label(workspace: &str, sites: &[SiteInfo]) -> String {
    let in_it = sites.iter().filter(|site| site.workspace_id == workspace);
    let mut names: Vec<_> = in_it.map(|site| site.display_name.as_str()).collect();
    match names.pop() {
        None => format!("Workspace {workspace}"),
        Some(last) if names.is_empty() => last.to_owned(),
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

async fn switch(Path(workspace): Path<String>) -> impl IntoResponse {
    let plain = workspace.chars().all(|c| c.is_ascii_alphanumeric());
    let cookie =
        if plain { format!("workspace={workspace}; Path=/; HttpOnly") } else { String::new() };
    ([(header::SET_COOKIE, cookie)], Redirect::to("/"))
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage
        .auth()
        .grants(GrantPolicy::PerWorkspace)
        .select_grant(|parts, grants| {
            let wanted = chosen(&parts.headers);
            let covers = |grant: &&WebflowToken| {
                grant.workspaces().iter().any(|it| Some(it.as_str()) == wanted)
            };
            grants.iter().find(covers).or(grants.first()).cloned()
        })
        .build()?;
    let app = Router::new().route("/", get(home)).route("/switch/{workspace}", get(switch));
    stage.serve(app.layer(auth.optional())).await
}

//! One grant per workspace, and a switcher between them.
//!
//! The application keeps the user's choice in its own cookie. To connect another workspace, the
//! user opens the login path again.

mod support;

use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect};
use axum::{Router, routing::get};
use maud::html;
use tower_webflow_auth::{GrantPolicy, WebflowGrants, WebflowToken};

/// The workspace that the browser has chosen.
fn chosen(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("workspace="))
}

async fn home(grants: WebflowGrants, current: Option<WebflowToken>) -> Html<String> {
    let page = html! {
        h1 { "Workspaces" }
        ul {
            @for grant in &grants {
                @for workspace in grant.workspaces() {
                    li {
                        a href={ "/switch/" (workspace) } { (workspace) }
                        @if current.as_ref().is_some_and(|it| it.grant_id() == grant.grant_id()) {
                            " (current)"
                        }
                    }
                }
            }
        }
        a href="/auth/webflow/login" { "Connect a workspace" }
    };
    Html(page.into_string())
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

//! The switch between the workspaces that a user has connected.

use std::collections::HashMap;

use axum::extract::{Form, State};
use axum::response::Redirect;
use axum_extra::extract::cookie::CookieJar;
use maud::{Markup, html};
use serde::Deserialize;
use tower_webflow_auth::{WebflowGrants, WebflowToken};

use crate::error::AppError;
use crate::start::App;

/// Nothing but a link to connect another one while there is only one.
pub(crate) fn show(
    grants: &WebflowGrants,
    current: &WebflowToken,
    names: &HashMap<String, String>,
) -> Markup {
    html! {
        @if grants.len() > 1 {
            form.switcher method="post" action="/grant" aria-label="Workspaces" {
                @for grant in grants {
                    button.quiet name="grant" value=(grant.grant_id().as_str())
                        aria-current=[(grant.grant_id() == current.grant_id()).then_some("true")]
                    { (label(grant, names)) }
                }
            }
        }
        p { a href="/install?return_to=/dashboard" { "Connect another workspace" } }
    }
}

/// Webflow names workspaces by their IDs only, so their sites have to do.
fn label(grant: &WebflowToken, names: &HashMap<String, String>) -> String {
    const SHOWN: usize = 3;
    let mut sites: Vec<_> =
        grant.sites().iter().filter_map(|id| names.get(id)).map(String::as_str).collect();
    sites.sort_unstable();
    let shown = sites.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match sites.len() {
        0 => "A workspace without sites".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}

#[derive(Deserialize)]
pub(crate) struct Choice {
    grant: String,
}

/// `POST /grant`: switches to another workspace.
pub(crate) async fn switch(
    State(app): State<App>,
    jar: CookieJar,
    grants: WebflowGrants,
    Form(Choice { grant }): Form<Choice>,
) -> Result<Redirect, AppError> {
    if !grants.iter().any(|own| own.grant_id().as_str() == grant) {
        return Err(AppError::NotFound);
    }
    app.sessions.choose(&jar, &grant).await?;
    Ok(Redirect::to("/dashboard"))
}

//! The dashboard: the sites of the workspace, and what has happened on them.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tower_webflow_auth::api::SiteInfo;
use tower_webflow_auth::{WebflowGrants, WebflowToken};

use crate::error::AppError;
use crate::pages::Frame;
use crate::sessions::User;
use crate::settings::WEBFLOW;
use crate::start::App;
use crate::webhooks::{self, Event};
use crate::{sites, switcher};

#[derive(Deserialize)]
pub(crate) struct Notice {
    /// Whether the user has just published a site.
    #[serde(default)]
    published: bool,
}

pub(crate) async fn show(
    State(app): State<App>,
    Query(notice): Query<Notice>,
    Extension(user): Extension<User>,
    token: WebflowToken,
    grants: WebflowGrants,
) -> Result<Html<String>, AppError> {
    // If the user has uninstalled the app, this call finds out, and the layer asks for a new grant.
    let listed = token.api().sites().await?;
    let names = sites::names(&app.db, &user.id).await?;
    let events = webhooks::latest(&app.db, &user.id).await?;
    let content = html! {
        h1 { "Your sites" }
        @if notice.published {
            p role="status" { (publishing(&app)) }
        }
        (switcher::show(&grants, &token, &names))
        @if listed.is_empty() { p { "This connection covers no site." } }
        ul.cards {
            @for site in &listed { li.card { (card(&app, &token, site)) } }
        }
        (happened(&events))
        (dev_tools(&app))
    };
    Ok(Frame::new("Your sites").of(Some(&user), true).page(&content))
}

/// A fake publishes nothing, and sends webhooks only when it is told to.
fn publishing(app: &App) -> &'static str {
    if app.settings.webflow == WEBFLOW {
        "Webflow is publishing the site. The event appears below once it is done."
    } else {
        "The fake Webflow has accepted the request. Have it send webhooks to see the event below."
    }
}

fn card(app: &App, token: &WebflowToken, site: &SiteInfo) -> Markup {
    let designer = designer_link(app, token, site);
    html! {
        h2 { @if site.display_name.is_empty() { "Untitled site" } @else { (site.display_name) } }
        @if let Some(link) = designer { p { a href=(link) { "Open the Designer" } } }
        form method="post" action={ "/sites/" (site.id) "/publish" } {
            button.quiet aria-label={ "Publish " (site.display_name) } { "Publish" }
        }
    }
}

fn happened(events: &[Event]) -> Markup {
    html! {
        h2 { "Latest events" }
        @if events.is_empty() {
            p { "Nothing has happened yet. Publish a site to see it here." }
        }
        ul.events {
            @for event in events {
                li {
                    strong { (event.site) } " " (what(&event.kind)) " "
                    (moment(event.sent_at))
                }
            }
        }
    }
}

fn moment(at: OffsetDateTime) -> Markup {
    html! {
        time datetime=(at.format(&Rfc3339).unwrap_or_default()) {
            (at.date()) " " (format!("{:02}:{:02}", at.hour(), at.minute())) " UTC"
        }
    }
}

fn what(kind: &str) -> &str {
    if kind == "site_publish" { "was published" } else { kind }
}

/// `POST /sites/{id}/publish`
pub(crate) async fn publish(
    token: WebflowToken,
    Path(site_id): Path<String>,
) -> Result<Redirect, AppError> {
    // The ID comes from the browser, so it may be any site's.
    if !token.covers_site(&site_id) {
        return Err(AppError::NotFound);
    }
    let body = json!({ "publishToWebflowSubdomain": true });
    token.api().post(["sites", &site_id, "publish"]).json(&body).send().await?;
    Ok(Redirect::to("/dashboard?published=true"))
}

fn designer_link(app: &App, token: &WebflowToken, site: &SiteInfo) -> Option<String> {
    #[cfg(feature = "testing")]
    if let Some(fake) = &app.fake {
        return Some(crate::fake::designer_link(fake, &app.settings, &site.id));
    }
    // Another fake's Designer is not known.
    token.designer_link(site).filter(|_| app.settings.webflow == WEBFLOW)
}

#[cfg(feature = "testing")]
fn dev_tools(app: &App) -> Markup {
    crate::fake::tools(app)
}

#[cfg(not(feature = "testing"))]
fn dev_tools(_: &App) -> Markup {
    html! {}
}

//! A fake Webflow for a first try and for development; a release build leaves it out.

use std::error::Error;

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use serde_json::json;
use tower_webflow_auth::config::WebflowAuthBuilder;
use tower_webflow_auth::testing::{FakeEvent, FakeWebflow, Site, Workspace};
use tower_webflow_auth::webhooks::Trigger;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer};

use crate::settings::Settings;
use crate::start::App;

/// Those of `.env.example`.
const SCOPES: [Scope; 3] = [Scope::AUTHORIZED_USER_READ, Scope::SITES_READ, Scope::SITES_WRITE];

/// Starts the fake, and returns a builder for its app.
pub(crate) async fn start(
    settings: &mut Settings,
) -> Result<(WebflowAuthBuilder, FakeWebflow), Box<dyn Error>> {
    settings.origin = format!("http://{}", settings.listen);
    // Browsers count `localhost` and `127.0.0.1` as two sites, as the panel's is another one at
    // Webflow.
    let panel_origin = format!("http://localhost:{}", settings.listen.port());
    settings.panel_origin.get_or_insert(panel_origin);
    let redirect_uri = format!("{}/auth/webflow/callback", settings.origin);
    let fake = FakeWebflow::builder()
        .app_name("Site Notes")
        .redirect_uri(&redirect_uri)
        .scopes(SCOPES)
        .start()
        .await?;
    fake.base_url().clone_into(&mut settings.webflow);
    let builder = WebflowAuthLayer::builder()
        .client_id(fake.client_id())
        .client_secret(fake.client_secret())
        .application_id(fake.application_id())
        .redirect_uri(redirect_uri)
        .scopes(SCOPES)
        .keyring(Keyring::generate())
        .endpoints(fake.endpoints());
    Ok((builder, fake))
}

/// Says what there is to see, and how to leave the fake.
pub(crate) fn introduce(fake: &FakeWebflow, settings: &Settings) {
    println!("app: Webflow is a fake at {}, and forgets everything at the end", fake.base_url());
    if let Some(site) = first_site(fake) {
        let designer = designer_link(fake, settings, site.id());
        println!("app: the panel in its Designer: {designer}");
    }
    println!("app: for Webflow itself, copy examples/app/.env.example to .env and fill it in");
}

/// The address of the fake's Designer with this app's panel.
pub(crate) fn designer_link(fake: &FakeWebflow, settings: &Settings, site_id: &str) -> String {
    let panel = format!("{}/panel", settings.panel_origin.as_deref().unwrap_or_default());
    fake.designer_url(site_id, &panel).into()
}

fn first_site(fake: &FakeWebflow) -> Option<&Site> {
    fake.workspaces().first().and_then(|workspace| workspace.sites().first())
}

/// A button for the dashboard. Webflow sends a webhook after a publish; the fake has to be told.
pub(crate) fn tools(app: &App) -> Markup {
    html! {
        @if app.fake.is_some() {
            form method="post" action="/fake/deliver" {
                button.quiet { "Have the fake Webflow send webhooks" }
            }
        }
    }
}

/// `POST /fake/deliver`: what Webflow sends when every site is published.
pub(crate) async fn deliver(State(app): State<App>) -> Redirect {
    if let Some(fake) = &app.fake {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        for site in fake.workspaces().iter().flat_map(Workspace::sites) {
            let payload = json!({ "siteId": site.id(), "publishedOn": now });
            fake.deliver(&FakeEvent::new(Trigger::SitePublish, payload)).await;
        }
    }
    Redirect::to("/dashboard")
}

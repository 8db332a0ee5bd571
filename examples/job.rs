//! Webhooks from end to end: registered at sign-in, received, worked on after the answer, and
//! answered by a call with the grant of the event's site. A daily job tidies up.
//!
//! Connect at `/`, which registers the webhooks of your sites; then `/publish` has the fake Webflow
//! publish the first site, and the log shows what the worker made of it.
#![allow(clippy::print_stdout, reason = "it is run by hand")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::{FakeEvent, FakeWebflow};
use tower_webflow_auth::webhooks::payload::SitePublish;
use tower_webflow_auth::webhooks::{Trigger, WebflowEvent};
use tower_webflow_auth::{Scope, WebflowAuthHandle, WebflowToken};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many events may wait for the worker.
const QUEUE: usize = 100;

#[derive(Clone)]
struct App {
    handle: WebflowAuthHandle,
    /// The address that Webflow sends events to. In production it is public, and https.
    hook_url: String,
    events: mpsc::Sender<WebflowEvent>,
}

/// Registers the webhooks of every site that the grant covers. Doing so again changes nothing.
async fn connect(State(app): State<App>, token: WebflowToken) -> Result<Json<Value>, ApiError> {
    let wanted = [(Trigger::SitePublish, None), (Trigger::FormSubmission, Some("Contact"))];
    let mut registered = Vec::new();
    for site in token.api().sites().await? {
        match app.handle.webhooks(&token).sync(&site.id, &app.hook_url, &wanted).await {
            Ok(synced) => registered.push(json!({
                "site": site.display_name,
                "made": synced.made,
                "kept": synced.kept,
            })),
            // Running it again goes on where it stopped.
            Err(error) => registered.push(json!({
                "site": site.display_name,
                "error": error.to_string(),
            })),
        }
    }
    Ok(Json(json!({ "registered": registered, "next": "/publish" })))
}

/// Answers at once, since Webflow takes a slow answer for a failure. A full queue is one too:
/// Webflow sends the event again ten minutes later.
async fn on_event(State(app): State<App>, event: WebflowEvent) -> StatusCode {
    match app.events.try_send(event) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Works on one event after the other. The same event may come again, so the work has to bear that.
async fn work(handle: WebflowAuthHandle, mut events: mpsc::Receiver<WebflowEvent>) {
    while let Some(event) = events.recv().await {
        match call_back(&handle, &event).await {
            Ok(line) => println!("{}: {line}", event.trigger()),
            Err(error) => println!("{}: {error}", event.trigger()),
        }
    }
}

async fn call_back(
    handle: &WebflowAuthHandle,
    event: &WebflowEvent,
) -> Result<String, support::Error> {
    let publish: SitePublish = event.payload()?;
    for token in event.tokens().await? {
        match token.api().sites().await {
            Ok(sites) => {
                let site = sites.iter().find(|site| Some(site.id.as_str()) == event.site_id());
                let name = site.map_or("a site", |site| &site.display_name);
                return Ok(format!("{name} was published to {:?}", publish.domains));
            }
            // The user has removed the app: no layer is here to forget the token.
            Err(ApiError::Unauthorized { token, .. }) => handle.revoke_grant(&token).await?,
            // Another grant may have access.
            Err(ApiError::NoAccess { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err("nobody has connected this site".into())
}

/// By age, not by last use: whoever connected longer ago is asked again.
async fn tidy_up(handle: WebflowAuthHandle) {
    loop {
        match handle.purge_older_than(DAY * 365).await {
            Ok(count) => println!("{count} old grants were removed"),
            Err(error) => println!("old grants could not be removed: {error}"),
        }
        tokio::time::sleep(DAY).await;
    }
}

/// What Webflow does when somebody presses Publish.
async fn publish(fake: &FakeWebflow) -> String {
    let Some(site) = fake.workspaces().first().and_then(|workspace| workspace.sites().first())
    else {
        return "there is no site".to_owned();
    };
    let payload = json!({ "siteId": site.id(), "domains": ["shop.webflow.io"] });
    let delivered = fake.deliver(&FakeEvent::new(Trigger::SitePublish, payload)).await;
    match delivered.as_slice() {
        [] => "no webhook is registered: connect at / first".to_owned(),
        [one, ..] => format!("delivered, answered {:?}", one.status),
    }
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let scopes = [Scope::SITES_READ, Scope::SITES_WRITE];
    let auth = stage.auth().scopes(scopes).build()?;
    let (events, waiting) = mpsc::channel(QUEUE);
    tokio::spawn(work(auth.handle(), waiting));
    tokio::spawn(tidy_up(auth.handle()));
    let hook_url = format!("http://{}/hooks/webflow", stage.address);
    let app = App { handle: auth.handle(), hook_url, events };
    let fake = Arc::clone(&stage.fake);
    let router = Router::new()
        .route("/", get(connect))
        .layer(auth.clone())
        // Outside of the login: Webflow proves itself by its signature.
        .route("/hooks/webflow", post(on_event).layer(auth.webhooks()))
        .route("/publish", get(async move || publish(&fake).await))
        .with_state(app);
    stage.serve(router).await
}

//! Webhooks: registering them at Webflow, receiving them, and showing the last ones.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::StatusCode;
use sqlx::AnyPool;
use time::OffsetDateTime;
use tower_webflow_auth::webhooks::{SyncError, Trigger, WebflowEvent};
use tower_webflow_auth::{WebflowAuthHandle, WebflowToken};

use crate::sessions::{digest, unix_seconds};
use crate::start::App;

/// The path that Webflow sends events to.
pub(crate) const PATH: &str = "/hooks/webflow";

/// How many events the dashboard shows.
const SHOWN: i64 = 10;

/// How long events are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

pub(crate) struct Event {
    /// The name of its site.
    pub(crate) site: String,
    pub(crate) kind: String,
    pub(crate) sent_at: OffsetDateTime,
}

/// Registers the webhooks of a site. Doing so again changes nothing.
pub(crate) async fn register(
    handle: &WebflowAuthHandle,
    token: &WebflowToken,
    site_id: &str,
    origin: &str,
) -> Result<(), SyncError> {
    // Other triggers need the scope of what they tell, such as `forms:read`.
    let wanted = [(Trigger::SitePublish, None)];
    handle.webhooks(token).sync(site_id, &format!("{origin}{PATH}"), &wanted).await?;
    Ok(())
}

/// Notes a verified event. Everything but a quick 200 makes Webflow send it again, so leave longer
/// work to a task.
pub(crate) async fn receive(State(app): State<App>, event: WebflowEvent) -> StatusCode {
    let Some(site_id) = event.site_id() else { return StatusCode::OK };
    // The same event may come again, so its content is the key.
    let noted = sqlx::query(
        "INSERT INTO events (id, site_id, kind, sent_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(digest(event.raw()))
    .bind(site_id)
    .bind(event.trigger().as_str())
    .bind(unix_seconds(event.sent_at()))
    .execute(&app.db)
    .await;
    match noted {
        Ok(_) => StatusCode::OK,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an event was not noted");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// The last events of the user's sites, newest first.
pub(crate) async fn latest(db: &AnyPool, user_id: &str) -> Result<Vec<Event>, sqlx::Error> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT sites.name, events.kind, events.sent_at FROM events
         JOIN sites ON sites.id = events.site_id
         WHERE sites.user_id = $1 ORDER BY events.sent_at DESC LIMIT $2",
    )
    .bind(user_id)
    .bind(SHOWN)
    .fetch_all(db)
    .await?;
    let event = |(site, kind, sent_at)| {
        let sent_at = OffsetDateTime::from_unix_timestamp(sent_at);
        Event { site, kind, sent_at: sent_at.unwrap_or(OffsetDateTime::UNIX_EPOCH) }
    };
    Ok(rows.into_iter().map(event).collect())
}

/// Removes old events.
pub(crate) async fn purge(db: &AnyPool) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM events WHERE sent_at < $1")
        .bind(unix_seconds(SystemTime::now() - KEPT))
        .execute(db)
        .await?;
    Ok(())
}

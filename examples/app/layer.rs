//! The layer: its store, whose grants it keeps, and what happens when one comes or goes.

use sqlx::AnyPool;
use tokio::sync::mpsc;
use tower_webflow_auth::config::WebflowAuthBuilder;
use tower_webflow_auth::store::{PostgresStore, SqliteStore, StoreError};
use tower_webflow_auth::{GrantPolicy, Next, Subject, Why};

use crate::db::sqlite_path;
use crate::sessions::User;
use crate::settings::Settings;
use crate::sites;

/// The tokens are in the application's own database, encrypted.
pub(crate) async fn with_store(
    builder: WebflowAuthBuilder,
    database_url: &str,
) -> Result<WebflowAuthBuilder, StoreError> {
    Ok(match sqlite_path(database_url) {
        Some(path) => builder.store(SqliteStore::open(path).await?),
        None => builder.store(PostgresStore::connect(database_url).await?),
    })
}

/// Grants belong to the application's users: one for each workspace that a user connects.
pub(crate) fn with_users(builder: WebflowAuthBuilder, settings: &Settings) -> WebflowAuthBuilder {
    let builder = builder
        .subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(&user.id)))
        .sign_in_at("/login")
        // The Install URL of Webflow's Marketplace, which works before anybody has an account here.
        .login_path("/install")
        .grants(GrantPolicy::PerWorkspace)
        .select_grant(|parts, grants| {
            let chosen = parts.extensions.get::<User>().map_or("", |user| &user.chosen);
            let chosen = grants.iter().find(|grant| grant.grant_id().as_str() == chosen);
            chosen.or(grants.first()).cloned()
        });
    match &settings.panel_origin {
        Some(origin) => builder.panel_origin(origin),
        None => builder,
    }
}

pub(crate) fn with_hooks(
    builder: WebflowAuthBuilder,
    db: &AnyPool,
    queue: &mpsc::Sender<Subject>,
) -> WebflowAuthBuilder {
    let (db, queue, own_db) = (db.clone(), queue.clone(), db.clone());
    builder
        .on_authorized(move |new| {
            let (db, queue) = (db.clone(), queue.clone());
            async move {
                // An error refuses the grant: the user sees a page and can try again.
                sites::provision(&db, &new).await?;
                // Registering webhooks takes many calls, so a job does it. If the queue is full, the
                // next verification does.
                queue.try_send(new.subject().clone()).ok();
                // An install that begins at Webflow names no page of ours.
                Ok(if new.return_to() == "/" { Next::redirect("/dashboard") } else { Next::Continue })
            }
        })
        .on_revoked(move |gone| {
            let db = own_db.clone();
            async move {
                tracing::info!(why = ?gone.why(), sites = gone.token().sites().len(), "a grant ended");
                // A replaced grant's sites were taken over by `provision`.
                if gone.why() != Why::Replaced
                    && let Err(error) =
                        sites::forget(&db, gone.subject().id(), gone.token().sites()).await
                {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the sites of a grant were not removed");
                }
            }
        })
}

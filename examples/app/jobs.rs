//! Work in the background.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tower_webflow_auth::handle::GrantState;
use tower_webflow_auth::{Pace, Subject};

use crate::start::App;
use crate::{sites, webhooks};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// For jobs, which can wait when Webflow asks for a pause.
const PATIENCE: Duration = Duration::from_secs(300);

/// Lists the sites of each user in the queue, and registers their webhooks.
pub(crate) async fn synchronize(app: App, mut queue: mpsc::Receiver<Subject>) {
    while let Some(subject) = queue.recv().await {
        if let Err(error) = synchronize_user(&app, &subject).await {
            tracing::warn!(?subject, error = &*error, "a user's sites were not synchronized");
        }
    }
}

async fn synchronize_user(app: &App, subject: &Subject) -> Result<(), Error> {
    let handle = app.auth.handle();
    for token in handle.tokens(subject).await? {
        let sites = token.api().patiently(PATIENCE).sites().await?;
        sites::remember(&app.db, subject.id(), &sites).await?;
        for site in &sites {
            webhooks::register(&handle, &token, &site.id, &app.settings.origin).await?;
        }
    }
    Ok(())
}

/// Asks Webflow about every grant, at the start and then regularly, because Webflow does not announce
/// an uninstall. Afterwards removes what is out of date.
pub(crate) async fn verify_regularly(app: App) {
    let Some(every) = app.settings.verify_every else { return };
    let mut time = interval(every);
    time.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        time.tick().await;
        // A grant is removed only if Webflow refuses its token twice, this far apart.
        let pace = Pace::per_second(2).confirm_after(every.min(Duration::from_secs(60)));
        let mut verified = pin!(app.auth.handle().verify_grants(pace));
        while let Some(grant) = verified.next().await {
            match grant {
                // Sites may have been added, and webhooks deactivated or removed.
                Ok(grant) if matches!(grant.state, GrantState::Alive) => {
                    app.queue.send(grant.subject().clone()).await.ok();
                }
                // Unknown: Webflow did not answer, and the grant stays. Gone: `on_revoked` has run.
                Ok(_) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a grant was not verified");
                }
            }
        }
        if let Err(error) = tidy_up(&app).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "old sessions and events were not removed");
        }
    }
}

async fn tidy_up(app: &App) -> Result<(), sqlx::Error> {
    app.sessions.purge().await?;
    webhooks::purge(&app.db).await
}

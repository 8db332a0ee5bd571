//! Moves plain-text tokens out of a table of your own into the token store.
//!
//! The old table is `connections (user_id, token, outcome)`. Each row's outcome is written when it is
//! done, so an interrupted run continues where it stopped. A row that Webflow could not be asked about
//! is tried again by the next run. Users notice nothing: no consent, no message, no hook.
//!
//! The example fills a table with tokens of a fake Webflow first. `MIGRATE_TOKENS` is how many
//! (default 200), `MIGRATE_PER_SECOND` the pace (default 50).
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

use std::error::Error;
use std::time::Duration;

use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Row, SqlitePool};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{ImportError, Scope, SecretString, Subject, WebflowAuthHandle};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let folder = tempfile::tempdir()?;
    let webflow = FakeWebflow::start().await;
    let old = fill(&webflow, number("MIGRATE_TOKENS", 200)).await?;
    let store = SqliteStore::open(folder.path().join("webflow.db")).await?;
    let auth = webflow
        .layer("http://127.0.0.1:3000/auth/webflow/callback")
        .application_id(webflow.application_id())
        .store(store)
        .build()?;
    let moved = migrate(&old, &auth.handle(), number("MIGRATE_PER_SECOND", 50)).await?;
    println!("{moved:?}");
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Moved {
    imported: u64,
    /// Webflow does not accept the token, or it is not this app's: the user connects again.
    refused: u64,
    /// To be tried again by the next run.
    left: u64,
}

/// Imports every row without an outcome, `per_second` of them at most.
async fn migrate(old: &SqlitePool, handle: &WebflowAuthHandle, per_second: u32) -> Result<Moved> {
    let mut moved = Moved::default();
    let mut pace = interval(Duration::from_secs(1) / per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut last = String::new();
    loop {
        let next = "SELECT user_id, token FROM connections WHERE outcome IS NULL AND user_id > ?1 \
                    ORDER BY user_id LIMIT 200";
        let rows = sqlx::query(next).bind(&last).fetch_all(old).await?;
        if rows.is_empty() {
            return Ok(moved);
        }
        for row in rows {
            let (user, token): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            pace.tick().await;
            let outcome = match import(handle, &user, token.into()).await {
                Ok(()) => "imported",
                Err(ImportError::Dead | ImportError::OtherApp | ImportError::SiteToken) => {
                    "refused"
                }
                // Without the application's ID no import can succeed.
                Err(error @ ImportError::ApplicationUnknown) => return Err(error.into()),
                Err(_) => {
                    moved.left += 1;
                    last = user;
                    continue;
                }
            };
            match outcome {
                "imported" => moved.imported += 1,
                _ => moved.refused += 1,
            }
            // The token has a new home: no plain text is left behind.
            sqlx::query("UPDATE connections SET outcome = ?1, token = '' WHERE user_id = ?2")
                .bind(outcome)
                .bind(&user)
                .execute(old)
                .await?;
            last = user;
        }
    }
}

/// Imports one token; waits once if Webflow asks to.
async fn import(
    handle: &WebflowAuthHandle,
    user: &str,
    token: SecretString,
) -> std::result::Result<(), ImportError> {
    let subject = Subject::user(user);
    match handle.import(&subject, token.clone()).await {
        Err(ImportError::Api(ApiError::RateLimited { retry_after, .. })) => {
            sleep(retry_after.unwrap_or(Duration::from_secs(60))).await;
            handle.import(&subject, token).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// The old table: every tenth user has removed the app.
async fn fill(webflow: &FakeWebflow, count: u32) -> Result<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    sqlx::query("CREATE TABLE connections (user_id TEXT PRIMARY KEY, token TEXT, outcome TEXT)")
        .execute(&pool)
        .await?;
    for i in 0..count {
        let token = webflow.issue_token([Scope::SITES_READ]);
        if i % 10 == 0 {
            webflow.revoke(&token);
        }
        sqlx::query("INSERT INTO connections (user_id, token) VALUES (?1, ?2)")
            .bind(format!("user-{i:06}"))
            .bind(token)
            .execute(&pool)
            .await?;
    }
    Ok(pool)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use tower_webflow_auth::store::MemoryStore;
    use tower_webflow_auth::testing::{Endpoint, Fault};

    fn application(webflow: &FakeWebflow) -> WebflowAuthHandle {
        let auth = webflow
            .layer("http://127.0.0.1:3000/auth/webflow/callback")
            .application_id(webflow.application_id())
            .store(MemoryStore::new())
            .build();
        auth.unwrap().handle()
    }

    async fn stored(handle: &WebflowAuthHandle) -> usize {
        handle.list_grants(None).try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test]
    async fn an_interrupted_run_is_continued_and_leaves_no_plain_text() {
        let webflow = FakeWebflow::start().await;
        let old = fill(&webflow, 30).await.unwrap();
        let handle = application(&webflow);
        let down = Fault::json(503, &serde_json::json!({}));
        webflow.fail_times(Endpoint::Introspect, 5, down);
        let first = migrate(&old, &handle, 10_000).await.unwrap();
        assert_eq!(first, Moved { imported: 23, refused: 2, left: 5 });
        let second = migrate(&old, &handle, 10_000).await.unwrap();
        assert_eq!(second, Moved { imported: 4, refused: 1, left: 0 });
        assert_eq!(migrate(&old, &handle, 10_000).await.unwrap(), Moved::default());
        assert_eq!(stored(&handle).await, 27);
        let left = sqlx::query("SELECT 1 FROM connections WHERE token <> ''");
        assert!(left.fetch_optional(&old).await.unwrap().is_none());
    }

    #[tokio::test]
    #[ignore = "takes a minute: scripts/test runs it"]
    async fn ten_thousand_tokens_are_moved() {
        let webflow = FakeWebflow::start().await;
        let old = fill(&webflow, 10_000).await.unwrap();
        let handle = application(&webflow);
        let began = std::time::Instant::now();
        let moved = migrate(&old, &handle, 10_000).await.unwrap();
        println!("10 000 tokens in {:?}", began.elapsed());
        assert_eq!(moved, Moved { imported: 9000, refused: 1000, left: 0 });
        assert_eq!(stored(&handle).await, 9000);
    }
}

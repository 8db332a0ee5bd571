//! `webflow-auth import`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::{ImportError, SecretString, Subject, WebflowAuthHandle};

use crate::arguments::subject;
use crate::causes::with_causes;
use crate::failure::Failure;
use crate::output::{Output, plain};

pub(crate) async fn run(
    handle: &WebflowAuthHandle,
    file: Option<&Path>,
    per_second: u32,
    output: Output,
) -> Result<(), Failure> {
    let lines = read(file)?;
    let bar = output.progress(Some(lines.len() as u64));
    let mut pace = interval(Duration::from_secs(1) / per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut imported, mut refused, mut failed) = (0, 0, 0);
    for (subject, token) in lines {
        pace.tick().await;
        let (outcome, why) = match import(handle, &subject, token).await {
            Ok(()) => {
                imported += 1;
                ("imported", None)
            }
            // Without the application's ID no import can succeed.
            Err(error @ ImportError::ApplicationUnknown) => {
                return Err(Failure::Settings(error.to_string()));
            }
            Err(ImportError::Store(error)) => return Err(error.into()),
            Err(error @ ImportError::Api(_)) => {
                failed += 1;
                ("failed", Some(with_causes(&error)))
            }
            Err(error) => {
                refused += 1;
                ("refused", Some(error.to_string()))
            }
        };
        bar.inc(1);
        let row = json!({ "subject": subject.as_str(), "outcome": outcome, "why": why });
        let text = why.map(|why| format!("{} {outcome}: {why}", plain(subject.as_str())));
        output.row(&bar, &row, text.as_deref())?;
    }
    bar.finish_and_clear();
    let summary = json!({ "imported": imported, "refused": refused, "failed": failed });
    let text = format!("{imported} imported, {refused} refused, {failed} to be tried again");
    output.line(&json!({ "summary": summary }), &text)?;
    match (refused, failed) {
        (0, 0) => Ok(()),
        (_, 0) => Err(Failure::Reported),
        _ => Err(Failure::Webflow(format!("Webflow did not answer for {failed} tokens"))),
    }
}

/// Imports one token; waits once if Webflow asks to.
async fn import(
    handle: &WebflowAuthHandle,
    subject: &Subject,
    token: SecretString,
) -> Result<(), ImportError> {
    match handle.import(subject, token.clone()).await {
        Err(ImportError::Api(ApiError::RateLimited { retry_after, .. })) => {
            sleep(retry_after.unwrap_or(Duration::from_secs(60))).await;
            handle.import(subject, token).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// Every line's subject and token. A malformed line is named by its number, never quoted.
fn read(file: Option<&Path>) -> Result<Vec<(Subject, SecretString)>, Failure> {
    let mut text = String::new();
    match file.filter(|path| *path != Path::new("-")) {
        None => std::io::stdin().read_to_string(&mut text).map(drop).map_err(Failure::Io)?,
        Some(path) => {
            text = std::fs::read_to_string(path).map_err(|error| {
                Failure::Settings(format!("cannot read {}: {error}", path.display()))
            })?;
        }
    }
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(number, line)| {
        let malformed = |what: &str| Failure::Settings(format!("line {number} {what}"));
        // A subject may contain commas; a token does not.
        let (of, token) = line.rsplit_once(',').ok_or_else(|| {
            malformed("has no comma\n  -> write the subject, a comma and the token")
        })?;
        let of = subject(of.trim())
            .map_err(|hint| malformed(&format!("names no subject\n  -> {hint}")))?;
        Ok((of, token.trim().to_owned().into()))
    })
    .collect()
}

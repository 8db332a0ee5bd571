//! `webflow-auth verify` and `webflow-auth reseal`.

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tower_webflow_auth::handle::{GrantState, ResealError};
use tower_webflow_auth::{Pace, WebflowAuthHandle};

use crate::causes::with_causes;
use crate::failure::Failure;
use crate::output::{Output, plain};

pub(crate) async fn verify(
    handle: &WebflowAuthHandle,
    per_second: u32,
    confirm_after: u64,
    output: Output,
) -> Result<(), Failure> {
    let pace = Pace::per_second(per_second).confirm_after(Duration::from_secs(confirm_after));
    let bar = output.progress(Some(count(handle).await?));
    let (mut alive, mut gone, mut unknown) = (0, 0, 0);
    let mut store_failure = None;
    let mut verified = pin!(handle.verify_grants(pace));
    while let Some(item) = verified.next().await {
        bar.inc(1);
        let grant = match item {
            Ok(grant) => grant,
            Err(error) => {
                store_failure = Some(error);
                continue;
            }
        };
        let name = plain(grant.subject().as_str());
        let (state, text) = match &grant.state {
            GrantState::Alive => {
                alive += 1;
                ("alive", None)
            }
            GrantState::Gone => {
                gone += 1;
                ("gone", Some(format!("{name} is gone at Webflow; removed it")))
            }
            GrantState::Unknown(error) => {
                unknown += 1;
                ("unknown", Some(format!("{name} is unknown: {}", with_causes(error))))
            }
            _ => ("other", None),
        };
        let row = json!({
            "subject": grant.subject().as_str(),
            "grant": grant.grant_id().as_str(),
            "state": state,
        });
        output.row(&bar, &row, text.as_deref())?;
    }
    bar.finish_and_clear();
    let summary = json!({ "alive": alive, "gone": gone, "unknown": unknown });
    let text = format!("{alive} alive, {gone} gone and removed, {unknown} unknown");
    output.line(&json!({ "summary": summary }), &text)?;
    match store_failure {
        Some(error) => Err(error.into()),
        None if unknown > 0 => {
            Err(Failure::Webflow(format!("Webflow did not answer for {unknown} grants")))
        }
        None => Ok(()),
    }
}

/// How many grants there are, for the length of the bar.
async fn count(handle: &WebflowAuthHandle) -> Result<u64, Failure> {
    let grants = handle.list_grants(None);
    Ok(grants.try_fold(0, |count, _| async move { Ok(count + 1) }).await?)
}

pub(crate) async fn reseal(
    handle: &WebflowAuthHandle,
    per_second: u32,
    output: Output,
) -> Result<(), Failure> {
    let bar = output.progress(None);
    let (mut written, mut unopenable) = (0, 0);
    let mut rows = pin!(handle.reseal(Pace::per_second(per_second)));
    while let Some(row) = rows.next().await {
        bar.inc(1);
        let (key, outcome, text) = match row {
            Ok(key) => {
                written += 1;
                (key, "resealed", None)
            }
            Err(ResealError::Unopenable(key)) => {
                unopenable += 1;
                let name = plain(key.subject().as_str());
                let text = format!("no key opens a grant of {name}; the user will be asked again");
                (key, "unopenable", Some(text))
            }
            Err(ResealError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(Failure::Store(with_causes(&error))),
        };
        let row = json!({
            "subject": key.subject().as_str(),
            "grant": key.grant().as_str(),
            "outcome": outcome,
        });
        output.row(&bar, &row, text.as_deref())?;
    }
    bar.finish_and_clear();
    let summary = json!({ "resealed": written, "unopenable": unopenable });
    let text = format!("{written} encrypted with the newest key, {unopenable} not readable");
    output.line(&json!({ "summary": summary }), &text)?;
    if unopenable == 0 { Ok(()) } else { Err(Failure::Reported) }
}

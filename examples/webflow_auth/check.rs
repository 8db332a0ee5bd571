//! `webflow-auth check`.

use serde_json::json;
use tower_webflow_auth::doctor::{Report, Status};

use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn report(checkup: &Report, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        for check in checkup.checks() {
            let status = match check.status() {
                Status::Ok => "ok",
                Status::Warning => "warning",
                _ => "failed",
            };
            let row = json!({
                "check": check.name(),
                "status": status,
                "finding": check.finding(),
                "remedy": check.remedy(),
            });
            output.line(&row, "")?;
        }
    } else {
        output.line(&json!(null), checkup.to_string().trim_end())?;
    }
    if checkup.is_ok() { Ok(()) } else { Err(Failure::Reported) }
}

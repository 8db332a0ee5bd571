//! Prints what would keep a login from working, with a suggested fix under every failed check.
//!
//! It reads the same environment variables as the application (`WEBFLOW_CLIENT_ID` and so on). If
//! none is set, it checks a sample application with a fake Webflow server. Your own application can
//! print the same table, including its own store, with `auth.diagnose().await`.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use std::process::ExitCode;

use axum::Router;
use tower_webflow_auth::{WebflowAuthLayer, config::WebflowAuthBuilder, doctor::Report};

#[tokio::main]
async fn main() -> Result<ExitCode, support::Error> {
    let report = if std::env::vars_os().any(|(name, _)| is_setting(&name)) {
        // Your own application also sets `.store(..)`.
        match WebflowAuthLayer::from_env().and_then(WebflowAuthBuilder::build) {
            Ok(auth) => auth.diagnose().await,
            Err(error) => Report::from(&error),
        }
    } else {
        println!(
            "no WEBFLOW_ variable is set: checking a sample application with a fake Webflow\n"
        );
        let stage = support::Stage::new().await?;
        let auth = stage.auth().build()?;
        tokio::select! {
            report = auth.diagnose() => report,
            stopped = stage.run(Router::new().layer(auth.clone())) => return stopped.map(|()| ExitCode::FAILURE),
        }
    };
    println!("{report}");
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("WEBFLOW_"))
}

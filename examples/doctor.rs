//! The doctor: prints what would keep a login from working, with a remedy under every line.
//!
//! It reads the settings that the application reads (`WEBFLOW_CLIENT_ID` and so on); where there
//! are none, it looks at an application of its own with a stand-in for Webflow. Your own
//! application can print the same table, with the store that it uses: `auth.check().await`.
#![allow(clippy::print_stdout, reason = "it is run by hand")]

mod support;

use std::process::ExitCode;

use axum::Router;
use tower_webflow_auth::{Checkup, WebflowAuthBuilder, WebflowAuthLayer};

#[tokio::main]
async fn main() -> Result<ExitCode, support::Error> {
    let checkup = if std::env::vars_os().any(|(name, _)| is_setting(&name)) {
        // In one's own application: `.store(..)` as well.
        match WebflowAuthLayer::from_env().and_then(WebflowAuthBuilder::build) {
            Ok(auth) => auth.check().await,
            Err(error) => Checkup::from(&error),
        }
    } else {
        println!("no WEBFLOW_ variable is set: this is a stand-in's checkup\n");
        let stage = support::Stage::new().await?;
        let auth = stage.auth().build()?;
        tokio::select! {
            checkup = auth.check() => checkup,
            stopped = stage.run(Router::new().layer(auth.clone())) => return stopped.map(|()| ExitCode::FAILURE),
        }
    };
    println!("{checkup}");
    Ok(if checkup.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("WEBFLOW_"))
}

//! The command `webflow-auth`: keys, diagnostics, and jobs over the stored grants.
//!
//! It reads the application's environment (`WEBFLOW_CLIENT_ID` and so on) and uses its store, which
//! `WEBFLOW_STORE` names. See docs/guide/command.md, or run it with `--help`.
#![allow(clippy::print_stderr, reason = "a command for the terminal")]

mod arguments;
#[path = "../support/causes.rs"]
mod causes;
mod check;
mod failure;
mod grants;
mod import;
mod jobs;
mod output;
mod settings;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use output::Output;
use serde_json::json;
use tower_webflow_auth::{Keyring, WebflowAuthLayer, doctor::Report};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let output = Output::new(arguments.json);
    if let Command::Key = arguments.command {
        let key = Keyring::generate_base64();
        return output.line(&json!({ "key": key }), &key);
    }
    // Before the runtime starts its threads, because it sets environment variables.
    arguments.settings.load_env_file()?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Io)?;
    runtime.block_on(async {
        if let Err(error) = arguments.settings.validate() {
            return match arguments.command {
                Command::Check => check::report(&Report::from(&error), output),
                _ => Err(error.into()),
            };
        }
        let auth = arguments.settings.layer().await?;
        let outcome = dispatch(&arguments.command, &auth, output).await;
        // Revocations that have failed are retried once more.
        auth.shutdown().await;
        outcome
    })
}

async fn dispatch(
    command: &Command,
    auth: &WebflowAuthLayer,
    output: Output,
) -> Result<(), Failure> {
    let handle = auth.handle();
    match command {
        Command::Key => Ok(()),
        Command::Check => check::report(&auth.diagnose().await, output),
        Command::List(filter) => grants::list(&handle, filter, output).await,
        Command::Revoke { subject, grant } => {
            grants::revoke(&handle, subject, grant.as_deref(), output).await
        }
        Command::Verify { per_second, confirm_after } => {
            jobs::verify(&handle, *per_second, *confirm_after, output).await
        }
        Command::Reseal { per_second } => jobs::reseal(&handle, *per_second, output).await,
        Command::Import { file, per_second } => {
            import::run(&handle, file.as_deref(), *per_second, output).await
        }
    }
}

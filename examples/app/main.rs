//! A complete Webflow App to start from: copy this folder and make it yours.
//!
//! It has its own users, an Install URL for Webflow's Marketplace, a dashboard of sites, a webhook, a
//! panel in the Designer, a background check for uninstalls, `/health` and `/metrics`. Without any
//! setting it runs against a fake Webflow; `.env.example` lists the settings, README.md the rest.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "examples are run by hand")]

mod account;
mod account_form;
mod dashboard;
mod db;
mod error;
#[cfg(feature = "testing")]
mod fake;
mod home;
mod jobs;
mod layer;
mod monitoring;
mod pages;
mod panel;
mod password;
mod routes;
mod sessions;
mod settings;
mod sites;
mod start;
mod switcher;
mod webhooks;

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    dotenvy::dotenv().ok();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match std::env::args().nth(1).as_deref() {
        None => serve().await.map(|()| true),
        // For a deployment that is running: `app check`.
        Some("check") => check().await,
        Some(other) => Err(format!("{other} is not a command: use `check`, or none").into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("app: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let start::Started { app, listener, queue } = start::start().await?;
    let metrics = monitoring::recorder()?;
    let jobs = [
        tokio::spawn(jobs::synchronize(app.clone(), queue)),
        tokio::spawn(jobs::verify_regularly(app.clone())),
    ];
    let router = routes::router(&app, metrics);
    axum::serve(listener, router).with_graceful_shutdown(stopped()).await?;
    for job in jobs {
        job.abort();
        job.await.ok();
    }
    // Exchanges, writes and revocations that run in tasks of their own.
    if !app.auth.shutdown().await {
        tracing::warn!("some work did not end within 10 seconds");
    }
    app.db.close().await;
    println!("app: stopped");
    Ok(())
}

/// Prints what would keep a login from working, and returns whether nothing does.
async fn check() -> Result<bool, Box<dyn Error>> {
    let report = start::configured().await?.diagnose().await;
    println!("{report}");
    Ok(report.is_ok())
}

/// Completes on SIGTERM or Ctrl-C. Running requests get ten more seconds.
async fn stopped() {
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        std::process::exit(0);
    });
}

//! A complete application: pages, a consent screen, and calls to Webflow with the token.
//!
//! Without configuration the demo starts a fake Webflow server. If `WEBFLOW_CLIENT_ID` and the
//! other variables are set in the environment or in `.env`, it uses Webflow, or `WEBFLOW_BASE_URL`.
//!
//! `DEMO_ADDR` is the address to listen on (default 127.0.0.1:3000). `DEMO_STORE` is the token
//! store: `memory`, `sqlite:PATH` (the default, in the platform's data folder), `postgres://..`
//! (feature `postgres`) or `redis://..` (feature `redis`). `DEMO_WEBHOOKS=1` (feature `webhooks`)
//! adds a route that receives webhooks, see `webhooks.rs`. `DEMO_NAME` is the app's name,
//! `WEBFLOW_APP_ID` its ID at Webflow. `DEMO_ADMIN=1` adds routes for jobs, see `admin.rs`.
//! `DEMO_PANEL_ORIGIN` (feature `panels`) lists the origins of panels, see `panels.rs`.
//! `DEMO_METRICS=1` (feature `metrics`) adds `/metrics`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "examples are run by hand")]

mod admin;
mod calls;
#[path = "../support/causes.rs"]
mod causes;
#[cfg(feature = "metrics")]
mod metrics;
mod pages;
#[cfg(feature = "panels")]
mod panels;
mod routes;
mod settings;
#[cfg(feature = "webhooks")]
mod webhooks;
mod words;

use std::error::Error;
use std::time::Duration;

use routes::Tour;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() {
    dotenvy::dotenv().ok();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    if let Err(error) = run().await {
        eprintln!("demo: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("  caused by: {cause}");
            source = cause.source();
        }
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = std::env::var("DEMO_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on DEMO_ADDR={address}: {error}"))?;
    let address = listener.local_addr()?;
    let is_admin = admin::is_on(address)?;
    #[cfg(feature = "metrics")]
    let metrics = metrics::router()?;
    let (builder, fake) = settings::builder(address).await?;
    #[cfg(feature = "webhooks")]
    let builder = webhooks::with_secrets(builder);
    #[cfg(feature = "panels")]
    let builder = panels::with_origins(builder);
    let auth = settings::with_store(builder).await?.build()?;

    println!("demo: visit http://{address}/");
    match &fake {
        Some(fake) => println!("demo: using a fake Webflow at {}", fake.base_url()),
        None => println!("demo: configured from the environment"),
    }
    let tour = Tour { auth, offers: settings::offers(fake.as_ref()), is_fake: fake.is_some() };
    #[cfg(feature = "webhooks")]
    let hooks = webhooks::router(&tour.auth);
    #[cfg(feature = "panels")]
    let panels = panels::router(&tour.auth);
    let jobs = admin::router(&tour.auth, is_admin);
    let app = routes::router(tour).merge(jobs);
    #[cfg(feature = "webhooks")]
    let app = app.merge(hooks);
    #[cfg(feature = "panels")]
    let app = app.merge(panels);
    #[cfg(feature = "metrics")]
    let app = app.merge(metrics);
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    println!("demo: stopped");
    Ok(())
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

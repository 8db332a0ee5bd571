//! The main job in one command: pages, a consent screen, and calls to Webflow with the token.
//!
//! Without configuration a stand-in for Webflow is started beside it. With `WEBFLOW_CLIENT_ID` and
//! friends in the environment or in `.env` it talks to Webflow, or to `WEBFLOW_BASE_URL`.
//! `DEMO_ADDR` (default 127.0.0.1:3000) says where to listen, `DEMO_STORE` where to keep tokens:
//! `memory`, `sqlite:PATH` (the default, in the platform's data folder), and with the features of
//! those names `postgres://..` and `redis://..`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is run by hand")]

mod pages;
mod routes;
mod settings;
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
            eprintln!("  because: {cause}");
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
    let (builder, stand_in) = settings::builder(address).await?;
    let auth = settings::with_store(builder).await?.build()?;

    println!("demo: visit http://{address}/");
    match &stand_in {
        Some(fake) => println!("demo: Webflow is played by a stand-in at {}", fake.base_url()),
        None => println!("demo: configured from the environment"),
    }
    let tour =
        Tour { auth, offers: settings::offers(stand_in.as_ref()), stand_in: stand_in.is_some() };
    axum::serve(listener, routes::router(tour)).with_graceful_shutdown(stopped()).await?;
    println!("demo: stopped");
    Ok(())
}

/// Ends with SIGTERM or Ctrl-C; requests under way get ten seconds more.
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

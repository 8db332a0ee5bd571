//! Two Webflow apps in one router: for example dev and staging, or two products on one host.
//!
//! Each layer has its own client at Webflow and its own name. They share the host, the key ring and the
//! store, and never see each other's cookies and grants. Run it and open the printed URL.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tower_webflow_auth::store::MemoryStore;
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, WebflowToken};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let (keyring, store) = (Keyring::generate(), Arc::new(MemoryStore::new()));
    let mut fakes = Vec::new();
    let mut app = Router::new()
        .route("/", get(async || Html(HOME)))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT));
    for name in ["notes", "shop"] {
        let webflow = FakeWebflow::builder().app_name(name).start().await?;
        let auth = webflow
            .layer(format!("{origin}/{name}/callback"))
            .name(name)
            .scopes([Scope::SITES_READ])
            .login_path(&*format!("/{name}/login"))
            .logout_path(&*format!("/{name}/logout"))
            .keyring(keyring.clone())
            .store(Arc::clone(&store))
            .build()?;
        app = app.merge(routes(name, &auth));
        fakes.push(webflow);
    }
    println!("visit {origin}/");
    axum::serve(listener, app).await?;
    Ok(())
}

const HOME: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Two apps</title>
<main>
<h1>Two apps</h1>
<p><a href="/notes">Notes</a> and <a href="/shop">Shop</a> connect separately.</p>
</main>
"#;

/// One app's pages behind its layer, and its own paths. `route_layer` keeps a layer from answering for
/// the other app's routes.
fn routes(name: &str, auth: &WebflowAuthLayer) -> Router {
    let page = Router::new().route(&format!("/{name}"), get(page)).route_layer(auth.clone());
    let own = [Some(auth.callback_path()), auth.login_path(), auth.logout_path()];
    own.into_iter()
        .flatten()
        .fold(page, |router, path| router.route_service(path, auth.endpoints_service()))
}

async fn page(token: WebflowToken) -> String {
    format!("connected; {} sites", token.sites().len())
}

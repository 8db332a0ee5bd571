//! Tokens outside a request: one job finds the grants of a site, another purges old grants.
//!
//! A webhook finds its grants in the same way, by the IDs in its `payload`. It must verify
//! `x-webflow-signature` over the raw body first, so this example has none.
#![allow(clippy::print_stdout, reason = "examples are run by hand")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tower_webflow_auth::api::{ApiError, SiteInfo};
use tower_webflow_auth::{WebflowAuthHandle, WebflowToken};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the site with any grant that has access to it. Searches both indexes, since a grant covers
/// either single sites or a whole workspace.
async fn site(
    handle: &WebflowAuthHandle,
    site_id: &str,
    workspace_id: &str,
) -> Result<Option<SiteInfo>, support::Error> {
    let mut tokens = handle.tokens_for_site(site_id).await?;
    tokens.extend(handle.tokens_for_workspace(workspace_id).await?);
    for token in tokens {
        match token.api().get(["sites", site_id]).send().await {
            Ok(answer) => return Ok(Some(answer.json().await?)),
            // The user has removed the app. Outside a request no layer deletes the token.
            Err(ApiError::Unauthorized { token, .. }) => handle.revoke_grant(&token).await?,
            // Another grant may have access.
            Err(ApiError::NoAccess { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn report(handle: WebflowAuthHandle, site_id: String, workspace_id: String) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        match site(&handle, &site_id, &workspace_id).await {
            Ok(Some(site)) => println!("{} is there", site.display_name),
            Ok(None) => println!("nobody has connected {site_id}"),
            Err(error) => println!("failed, will retry: {error}"),
        }
    }
}

/// Purges by age, not by last use: users who connected longer ago must give consent again.
async fn tidy_up(handle: WebflowAuthHandle) {
    loop {
        match handle.purge_older_than(DAY * 365).await {
            Ok(count) => println!("purged {count} old grants"),
            Err(error) => println!("could not purge, will retry tomorrow: {error}"),
        }
        tokio::time::sleep(DAY).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let stage = support::Stage::new().await?;
    let auth = stage.auth().build()?;
    tokio::spawn(tidy_up(auth.handle()));
    let site = stage.fake.workspaces().first().and_then(|workspace| workspace.sites().first());
    if let Some(site) = site {
        let ids = (site.id().to_owned(), site.workspace_id().to_owned());
        tokio::spawn(report(auth.handle(), ids.0, ids.1));
    }
    let home = |token: WebflowToken| async move {
        format!("connected: sites {:?}, workspaces {:?}", token.sites(), token.workspaces())
    };
    stage.serve(Router::new().route("/", get(home)).layer(auth)).await
}

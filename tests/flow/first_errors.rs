//! What a newcomer reads when the first attempt fails: a `main` that returns an error prints its
//! `Debug`.

use axum::{Router, routing::get};
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{ConfigError, WebflowAuthLayer, WebflowToken, store::StoreError};

use crate::support::App;

fn printed_by_main(error: impl Into<Box<dyn std::error::Error>>) -> String {
    format!("Error: {:?}", error.into())
}

#[test]
fn configuration_error_from_main_lists_every_fix() {
    let printed = printed_by_main(WebflowAuthLayer::builder().build().unwrap_err());
    assert!(printed.starts_with("Error: the Webflow configuration has 5 problems:\n"), "{printed}");
    let named: Vec<_> = printed.lines().skip(1).filter_map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(named, ["client_id", "client_secret", "redirect_uri", "scopes", "keyring"]);
    assert!(
        printed.contains("\n  - client_id (WEBFLOW_CLIENT_ID) is missing: copy it"),
        "{printed}"
    );
    let one: ConfigError = tower_webflow_auth::Scope::new("sites").unwrap_err();
    assert!(printed_by_main(one).starts_with("Error: invalid Webflow configuration:"));
}

#[test]
fn store_error_prints_its_causes() {
    let error = StoreError::unavailable(std::io::Error::other("disk full"));
    assert_eq!(printed_by_main(error), "Error: the token store is not available: disk full");
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn missing_postgres_is_reported_as_refused() {
    let url = "postgres://127.0.0.1:1/none";
    let error = tower_webflow_auth::store::PostgresStore::connect(url).await.unwrap_err();
    assert!(format!("{error:?}").contains("refused"), "{error:?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn missing_folder_is_named() {
    let path = "/no/such/folder/tokens.db";
    let error = tower_webflow_auth::store::SqliteStore::open(path).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("the parent directory must exist and be writable"),
        "{error:?}"
    );
}

#[tokio::test]
async fn handler_without_a_layer_explains_where_it_goes() {
    let handler = |token: WebflowToken| async move { token.scopes().to_string() };
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().layer(auth.clone()).route("/late", get(handler)),
    )
    .await;
    let page = TestBrowser::new().visit(&app.url("/late")).await.unwrap();
    assert_eq!(page.status.as_u16(), 500);
    assert!(page.text.contains("add `.layer(auth.clone())`"), "{}", page.text);
}

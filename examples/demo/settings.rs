//! Reads the demo's settings.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use etcetera::BaseStrategy;
#[cfg(feature = "postgres")]
use tower_webflow_auth::store::PostgresStore;
#[cfg(feature = "redis")]
use tower_webflow_auth::store::RedisStore;
use tower_webflow_auth::store::{MemoryStore, SqliteStore, StoreError};
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer, config::WebflowAuthBuilder};

use crate::causes::with_causes;

const SCOPES: [Scope; 3] = [Scope::AUTHORIZED_USER_READ, Scope::SITES_READ, Scope::CMS_READ];

/// The scopes that a visitor can add, if the app is known to be registered for them.
const MORE: [Scope; 3] = [Scope::CMS_WRITE, Scope::PAGES_READ, Scope::FORMS_READ];

/// The scopes to offer in addition to the initial ones. For a real app this is only the scope that
/// the demo's CMS page needs, because Webflow rejects links with scopes the app is not registered
/// for.
pub(crate) fn offers(fake: Option<&FakeWebflow>) -> Vec<Scope> {
    if fake.is_some() { MORE.to_vec() } else { vec![Scope::CMS_WRITE] }
}

/// A builder from the environment if it is configured, otherwise for a new fake Webflow server.
pub(crate) async fn builder(
    address: SocketAddr,
) -> Result<(WebflowAuthBuilder, Option<FakeWebflow>), Box<dyn Error>> {
    let configured = ["ID", "SECRET"]
        .into_iter()
        .any(|name| std::env::var_os(format!("WEBFLOW_CLIENT_{name}")).is_some())
        || std::env::var_os("WEBFLOW_BASE_URL").is_some();
    if configured {
        return Ok((named(WebflowAuthLayer::from_env()?), None));
    }
    let redirect_uri = format!("http://{address}/auth/webflow/callback");
    let fake = FakeWebflow::builder()
        .redirect_uri(&redirect_uri)
        .scopes(SCOPES.into_iter().chain(MORE))
        .start()
        .await?;
    let builder = WebflowAuthLayer::builder()
        .client_id(fake.client_id())
        .client_secret(fake.client_secret())
        .redirect_uri(redirect_uri)
        .scopes(SCOPES)
        .keyring(Keyring::generate())
        .endpoints(fake.endpoints());
    Ok((named(builder.application_id(fake.application_id())), Some(fake)))
}

/// The app's name, if `DEMO_NAME` has one.
fn named(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    match std::env::var("DEMO_NAME") {
        Ok(name) if !name.is_empty() => builder.name(name),
        _ => builder,
    }
}

/// Opens the store that `DEMO_STORE` names.
pub(crate) async fn with_store(
    builder: WebflowAuthBuilder,
) -> Result<WebflowAuthBuilder, Box<dyn Error>> {
    let setting = match std::env::var("DEMO_STORE") {
        Ok(setting) if !setting.is_empty() => setting,
        _ => format!("sqlite:{}", default_file()?.display()),
    };
    let explain = |error: StoreError| {
        let error = with_causes(&error);
        format!("DEMO_STORE={} cannot be opened: {error}", kind(&setting))
    };
    if setting == "memory" {
        return Ok(builder.store(MemoryStore::new()));
    }
    if let Some(path) = setting.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok(builder.store(SqliteStore::open(path).await.map_err(explain)?));
    }
    #[cfg(feature = "postgres")]
    if setting.starts_with("postgres://") || setting.starts_with("postgresql://") {
        let store = PostgresStore::connect(&setting).await.map_err(explain)?;
        return Ok(builder.store(store));
    }
    #[cfg(feature = "redis")]
    if setting.starts_with("redis://") || setting.starts_with("rediss://") {
        let store = RedisStore::connect(&setting).await.map_err(explain)?;
        return Ok(builder.store(store));
    }
    Err(format!("DEMO_STORE={} is not known: give {KNOWN}", kind(&setting)).into())
}

/// The store settings that this build supports.
const KNOWN: &str = if cfg!(all(feature = "postgres", feature = "redis")) {
    "memory, sqlite:PATH, postgres://.. or redis://.."
} else {
    "memory or sqlite:PATH; for postgres:// and redis:// build with those features"
};

/// The setting without a URL's address, which may contain a password.
fn kind(setting: &str) -> &str {
    if setting.contains("://") { setting.split("://").next().unwrap_or_default() } else { setting }
}

fn default_file() -> Result<PathBuf, Box<dyn Error>> {
    let folder = etcetera::choose_base_strategy()?.data_dir().join("tower-webflow-auth");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join("demo.db"))
}

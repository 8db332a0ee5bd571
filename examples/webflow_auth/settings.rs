//! The application's settings and its store.

use std::path::Path;

#[cfg(feature = "postgres")]
use tower_webflow_auth::store::PostgresStore;
#[cfg(feature = "redis")]
use tower_webflow_auth::store::RedisStore;
use tower_webflow_auth::store::{MemoryStore, SqliteStore};
use tower_webflow_auth::{ConfigError, GrantPolicy, WebflowAuthLayer, config::WebflowAuthBuilder};
use url::Url;

use crate::arguments::Settings;
use crate::failure::Failure;

impl Settings {
    /// Sets the variables of `--env-file` that the environment does not have.
    pub(crate) fn load_env_file(&self) -> Result<(), Failure> {
        let Some(file) = &self.env_file else { return Ok(()) };
        dotenvy::from_path(file).map_err(|error| {
            // The error of a malformed line quotes it, and the line may hold a secret.
            let problem = match error {
                dotenvy::Error::Io(error) => error.to_string(),
                _ => "a line is not NAME=value".to_owned(),
            };
            Failure::Settings(format!("cannot read {}: {problem}", file.display()))
        })
    }

    /// Finds every problem of the settings, before a store is opened.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.builder()?.store(MemoryStore::new()).build().map(drop)
    }

    fn builder(&self) -> Result<WebflowAuthBuilder, ConfigError> {
        let mut builder = WebflowAuthLayer::from_env()?;
        if let Some(name) = &self.name {
            builder = builder.name(name);
        }
        if self.per_workspace {
            builder = builder.grants(GrantPolicy::PerWorkspace);
        }
        Ok(builder)
    }

    /// The layer with the store.
    pub(crate) async fn layer(&self) -> Result<WebflowAuthLayer, Failure> {
        let url = self.store_url()?;
        let builder = self.builder()?;
        let builder = match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => builder.store(sqlite(&url).await?),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => builder.store(PostgresStore::connect(&url).await?),
            #[cfg(feature = "redis")]
            "redis" | "rediss" => builder.store(RedisStore::connect(&url).await?),
            scheme => return Err(Failure::Settings(unknown(scheme))),
        };
        Ok(builder.build()?)
    }

    fn store_url(&self) -> Result<String, Failure> {
        if let Some(url) = &self.store {
            if Url::parse(url).is_ok_and(|url| has_password(&url)) {
                return Err(Failure::Settings(
                    "--store has a password, which other users of the machine can read\n  -> set \
                     WEBFLOW_STORE instead, or put it in a file and pass --env-file"
                        .to_owned(),
                ));
            }
            return Ok(url.clone());
        }
        std::env::var("WEBFLOW_STORE").ok().filter(|url| !url.is_empty()).ok_or_else(|| {
            let known = "sqlite:PATH, postgres://.. or redis://..";
            Failure::Settings(format!("no store is named\n  -> set WEBFLOW_STORE to {known}"))
        })
    }
}

fn has_password(url: &Url) -> bool {
    url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
}

/// Opens an existing file: a wrong path must not become an empty store.
async fn sqlite(url: &str) -> Result<SqliteStore, Failure> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if !Path::new(path).is_file() {
        return Err(Failure::Store(format!("there is no file {path}")));
    }
    Ok(SqliteStore::open(path).await?)
}

fn unknown(scheme: &str) -> String {
    let feature = match scheme {
        "postgres" | "postgresql" => "postgres",
        "redis" | "rediss" => "redis",
        _ => {
            return "the store is unknown\n  -> name it sqlite:PATH, postgres://.. or redis://.."
                .to_owned();
        }
    };
    format!("this build has no {feature} store\n  -> build it with --features {feature}")
}

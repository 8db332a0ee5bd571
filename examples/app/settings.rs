//! The settings, from the environment or `.env`; `.env.example` describes them.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use etcetera::BaseStrategy;
use tower_webflow_auth::config::WebflowAuthBuilder;
use tower_webflow_auth::{Keyring, WebflowAuthLayer};
use url::Url;

/// The origin of Webflow's consent page.
pub(crate) const WEBFLOW: &str = "https://webflow.com";

type Invalid = Box<dyn Error>;

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// The application's origin, as browsers see it.
    pub(crate) origin: String,
    /// The origin of Webflow's consent page, or of a fake.
    pub(crate) webflow: String,
    /// `sqlite:PATH` or `postgres://..`.
    pub(crate) database_url: String,
    /// The origin of the Designer Extension.
    pub(crate) panel_origin: Option<String>,
    /// How often every grant is checked for an uninstall; never by this instance if `None`.
    pub(crate) verify_every: Option<Duration>,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, Invalid> {
        let listen = variable("LISTEN").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        let seconds = variable("VERIFY_EVERY").unwrap_or_else(|| "86400".to_owned());
        let database_url = match secret("DATABASE_URL")? {
            Some(url) => url,
            None => default_database()?,
        };
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|it| database_url.starts_with(it)) {
            // The value may contain a password.
            return Err("DATABASE_URL is neither sqlite:PATH nor postgres://..".into());
        }
        Ok(Self {
            origin: origin_of("WEBFLOW_REDIRECT_URI", &format!("http://{listen}")),
            webflow: origin_of("WEBFLOW_BASE_URL", WEBFLOW),
            listen: listen.parse().map_err(|_| {
                format!("LISTEN={listen} is not an address and a port, such as 127.0.0.1:3000")
            })?,
            database_url,
            panel_origin: variable("PANEL_ORIGIN"),
            verify_every: seconds
                .parse()
                .map(|seconds| Some(seconds).filter(|it| *it > 0).map(Duration::from_secs))
                .map_err(|_| format!("VERIFY_EVERY={seconds} is not a number of seconds"))?,
        })
    }
}

/// Whether an app at Webflow is configured. Otherwise the application uses a fake.
pub(crate) fn has_webflow() -> bool {
    ["WEBFLOW_CLIENT_ID", "WEBFLOW_CLIENT_SECRET", "WEBFLOW_CLIENT_SECRET_FILE"]
        .iter()
        .any(|name| variable(name).is_some())
}

/// The layer's settings: the variables `WEBFLOW_..`.
pub(crate) fn webflow() -> Result<WebflowAuthBuilder, Invalid> {
    let mut builder = WebflowAuthLayer::from_env()?;
    if let Some(client_secret) = secret("WEBFLOW_CLIENT_SECRET")? {
        builder = builder.client_secret(client_secret);
    }
    if let Some(keys) = secret("WEBFLOW_AUTH_KEY")? {
        builder = builder.keyring(Keyring::from_base64(&keys)?);
    }
    Ok(builder)
}

/// The origin of an address. The layer refuses what is none, so an error needs no report here.
fn origin_of(name: &str, default: &str) -> String {
    let url = variable(name).and_then(|url| Url::parse(&url).ok());
    url.map_or_else(|| default.to_owned(), |url| url.origin().ascii_serialization())
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A variable that may also be in the file that `NAME_FILE` names, as Docker and systemd pass
/// secrets.
fn secret(name: &str) -> Result<Option<String>, Invalid> {
    let Some(path) = variable(&format!("{name}_FILE")) else { return Ok(variable(name)) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{name}_FILE={path} cannot be read: {error}"))?;
    Ok(Some(text.trim().to_owned()).filter(|value| !value.is_empty()))
}

/// A file in the platform's data folder.
fn default_database() -> Result<String, Invalid> {
    let folder = etcetera::choose_base_strategy()?.data_dir().join("tower-webflow-auth");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("{} cannot be created: {error}", folder.display()))?;
    Ok(format!("sqlite:{}", folder.join("app.db").display()))
}

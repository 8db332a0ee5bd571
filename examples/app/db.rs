//! The application's own tables, in SQLite or Postgres.
//!
//! The statements are written so that both understand them. The token store keeps its tables,
//! `webflow_..`, in the same database.

use std::path::Path;

use sqlx::AnyPool;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use url::Url;

/// Enough for a start. Once the tables have to change, use `sqlx::migrate!`.
const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS users (
        id TEXT PRIMARY KEY,
        email TEXT NOT NULL UNIQUE,
        password TEXT NOT NULL
    )",
    // `token` is a digest, so a copy of the table signs nobody in. `chosen` is a grant's ID.
    "CREATE TABLE IF NOT EXISTS sessions (
        token TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        chosen TEXT NOT NULL DEFAULT '',
        expires BIGINT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS sites (
        user_id TEXT NOT NULL REFERENCES users (id),
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (user_id, id)
    )",
    "CREATE TABLE IF NOT EXISTS events (
        id TEXT PRIMARY KEY,
        site_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        sent_at BIGINT NOT NULL
    )",
];

/// Opens the database and creates the tables that are missing.
pub(crate) async fn open(url: &str) -> Result<AnyPool, sqlx::Error> {
    install_default_drivers();
    let address = match sqlite_path(url) {
        Some(path) => sqlite_url(path)?,
        None => url.to_owned(),
    };
    let pool = AnyPoolOptions::new().max_connections(5).connect(&address).await?;
    for table in TABLES {
        sqlx::query(table).execute(&pool).await?;
    }
    Ok(pool)
}

/// The path of `sqlite:PATH` or `sqlite://PATH`.
pub(crate) fn sqlite_path(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?;
    Some(path.strip_prefix("//").unwrap_or(path))
}

/// sqlx reads a URL, in which a path's `?` and `%` would have a meaning.
fn sqlite_url(path: &str) -> Result<String, sqlx::Error> {
    let path = std::path::absolute(Path::new(path))?;
    let url = Url::from_file_path(path)
        .map_err(|()| sqlx::Error::Configuration("the database is no file".into()))?;
    Ok(format!("sqlite://{}", url.path()))
}

/// The database for a log: without a URL's password.
pub(crate) fn described(url: &str) -> String {
    match (sqlite_path(url), Url::parse(url)) {
        (Some(path), _) => path.to_owned(),
        (None, Ok(url)) => format!("Postgres at {}", url.host_str().unwrap_or("a socket")),
        (None, Err(_)) => "Postgres".to_owned(),
    }
}

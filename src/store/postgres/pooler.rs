//! Whether a connection leads straight to Postgres.
//!
//! A pooler in transaction mode gives a client another server connection for each transaction.
//! Whatever a session keeps there (`LISTEN`, prepared statements) would end up with strangers. So
//! a connection is opened with a setting of its own in the startup packet: poolers refuse it or
//! drop it, and only a server connection that was opened for us shows it.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Error, Executor, Row};

use crate::crypto::random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Each connection has a server connection of its own.
    Direct,
    /// Something in between gives out server connections.
    Pooled,
}

/// Opens a connection, and looks where it leads.
pub async fn route(options: &PgConnectOptions) -> Result<Route, Error> {
    let mark = random::token_256();
    let marked = options.clone().options([("tower_webflow_auth.session", &mark)]);
    match PgConnection::connect_with(&marked).await {
        Ok(mut connection) => {
            let query = "SELECT coalesce(current_setting('tower_webflow_auth.session', true), '')";
            let row = connection.fetch_one(sqlx::raw_sql(query)).await?;
            let is_ours = row.try_get::<String, _>(0)? == mark;
            connection.close().await.ok();
            Ok(if is_ours { Route::Direct } else { Route::Pooled })
        }
        // The setting may be what is refused: then it works without.
        Err(Error::Database(error)) if !is_about_the_server(error.code().as_deref()) => {
            PgConnection::connect_with(options).await?.close().await.ok();
            Ok(Route::Pooled)
        }
        Err(error) => Err(error),
    }
}

/// Errors that would meet any connection at this moment: too many of them, or a shutdown.
fn is_about_the_server(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("53") || code.starts_with("57"))
}

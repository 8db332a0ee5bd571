//! Detects a pooler between the store and Postgres.
//!
//! A pooler in transaction mode may use a different server connection for each transaction. Session
//! state such as `LISTEN` or prepared statements would leak to other clients. The startup packet
//! therefore carries a custom setting: a pooler rejects or drops it, so only a direct server
//! connection returns it.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Error, Executor, Row};

use crate::crypto::random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Each connection has its own server connection.
    Direct,
    /// A pooler assigns server connections.
    Pooled,
}

/// Opens a connection and finds out where it leads.
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
        // The server may have rejected the setting itself; try without it.
        Err(Error::Database(error)) if !is_about_the_server(error.code().as_deref()) => {
            PgConnection::connect_with(options).await?.close().await.ok();
            Ok(Route::Pooled)
        }
        Err(error) => Err(error),
    }
}

/// Errors that any connection would get now: too many connections, or a shutdown.
fn is_about_the_server(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("53") || code.starts_with("57"))
}

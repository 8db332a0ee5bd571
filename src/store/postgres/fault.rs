//! What helps against which error of Postgres.

use sqlx::Error;

use super::StoreError;
use super::unavailable;

/// What makes it worth trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing does.
    None,
    /// The same once more, on another connection.
    Again,
    /// Connections that are made from now on: those that are open lead to a server that is gone,
    /// shutting down or no longer the primary.
    NewConnections,
    /// Statements that are not prepared by name.
    UnnamedStatements,
}

/// Error codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn remedy(error: &Error) -> Remedy {
    let Error::Database(error) = error else {
        return match error {
            Error::Io(_) => Remedy::NewConnections,
            // For example a notification, when another client of the pooler has left a LISTEN.
            Error::Protocol(_) | Error::BeginFailed => Remedy::Again,
            _ => Remedy::None,
        };
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // A read-only transaction; shutdown, crash, "cannot connect now", time-outs of a session.
        "25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Remedy::NewConnections,
        _ if code.starts_with("08") => Remedy::NewConnections,
        // Too many connections; a transaction that has failed; serialization and deadlocks.
        "53300" | "25P02" => Remedy::Again,
        _ if code.starts_with("40") => Remedy::Again,
        // The tables were migrated since the statement was prepared.
        "0A000" if error.message().contains("cached plan") => Remedy::Again,
        "26000" | "42P05" => Remedy::UnnamedStatements,
        _ => Remedy::None,
    }
}

pub fn store_error(error: Error) -> StoreError {
    match code(&error).as_deref() {
        Some("57014") => StoreError::Timeout,
        _ => unavailable(error),
    }
}

/// Whether the role lacks a right.
pub fn is_missing_right(error: &Error) -> bool {
    code(error).as_deref() == Some("42501")
}

/// Whether the server has refused what one of the rows contains: others may be saved without it.
pub fn is_of_one_row(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else { return false };
    let code = source.downcast_ref::<Error>().and_then(code).unwrap_or_default();
    // Data, constraints, limits.
    ["22", "23", "54"].iter().any(|class| code.starts_with(class))
}

fn code(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

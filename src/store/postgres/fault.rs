//! Classifies Postgres errors by what helps against them.

use sqlx::Error;

use super::StoreError;
use super::unavailable;
use crate::store::group::Separation;

const LOCK_NOT_AVAILABLE: &str = "55P03";

/// How to make a retry worthwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// No retry helps.
    None,
    /// Retry on another connection.
    Again,
    /// Retry on a new connection: the open ones lead to a server that is gone, shutting down or no
    /// longer the primary.
    NewConnections,
    /// Retry without prepared statement names.
    UnnamedStatements,
}

/// Error codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn remedy(error: &Error) -> Remedy {
    let Error::Database(error) = error else {
        return match error {
            Error::Io(_) => Remedy::NewConnections,
            // For example a notification, if another client of the pooler left a `LISTEN` behind.
            Error::Protocol(_) | Error::BeginFailed => Remedy::Again,
            _ => Remedy::None,
        };
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // Read-only transaction, shutdown, crash, "cannot connect now", session timeouts.
        "25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Remedy::NewConnections,
        _ if code.starts_with("08") => Remedy::NewConnections,
        // Too many connections, or a failed transaction; below, serialization failures and deadlocks.
        "53300" | "25P02" => Remedy::Again,
        _ if code.starts_with("40") => Remedy::Again,
        // The tables were migrated after the statement was prepared.
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

/// Whether the role is missing a privilege.
pub fn is_missing_right(error: &Error) -> bool {
    code(error).as_deref() == Some("42501")
}

/// Whether one row of several may have caused the error: its data, a constraint, a limit, a trigger, a
/// damaged page, or a lock.
pub fn separation(error: &StoreError) -> Separation {
    let StoreError::Unavailable(source) = error else { return Separation::None };
    let code = source.downcast_ref().and_then(code).unwrap_or_default();
    match code.as_str() {
        LOCK_NOT_AVAILABLE => Separation::Singly,
        code if ["22", "23", "54", "P0", "XX00"].iter().any(|class| code.starts_with(class)) => {
            Separation::Halves
        }
        _ => Separation::None,
    }
}

/// Whether it is unknown what the server has done.
pub fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Protocol(_))
        || code(error).is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
}

fn code(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

//! Errors of token stores.

use std::error::Error as StdError;
use std::fmt;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use std::sync::Arc;

use crate::identity::subject::InvalidSubject;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a store operation failed.
///
/// The layer treats every variant except [`InvalidSubject`](Self::InvalidSubject) as an outage: it
/// answers 503 with `Retry-After` and never redirects to Webflow.
///
/// `Debug` prints the message and its sources on one line, for a `main` that returns this error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database is unreachable, locked, full or read-only, or its tables are missing.
    #[error("the token store is not available")]
    Unavailable(#[source] Source),
    /// The database did not respond within the time limit.
    #[error("the token store did not answer in time")]
    Timeout,
    /// The store has reached its capacity.
    #[error("the token store is full")]
    Full,
    /// A stored row is malformed.
    #[error("a stored row is malformed: {0}")]
    Corrupt(&'static str),
    /// The store does not implement this operation.
    #[error("this token store does not support {0}")]
    Unsupported(&'static str),
    /// A newer version of this crate has migrated the database.
    #[error(
        "the database schema is version {found}, but this crate supports only up to {known}: \
         update the crate, or use another database"
    )]
    #[non_exhaustive]
    SchemaTooNew {
        /// The schema version of the database.
        found: i64,
        /// The newest schema version that this crate supports.
        known: i64,
    },
    /// The subject's ID is empty or too long.
    #[error(transparent)]
    InvalidSubject(#[from] InvalidSubject),
    /// The store panicked. The panic hook prints the message; it is not repeated here.
    #[error("the token store panicked")]
    Panicked,
}

impl StoreError {
    /// Creates [`Unavailable`](Self::Unavailable) with the database's error as its source.
    ///
    /// ```
    /// use tower_webflow_auth::store::StoreError;
    ///
    /// let error = StoreError::unavailable(std::io::Error::other("disk full"));
    /// assert_eq!(error.to_string(), "the token store is not available");
    /// ```
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }
}

impl StoreError {
    /// Whether the store cannot be used at the moment, rather than for this request alone.
    pub(crate) const fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout | Self::Full)
    }

    /// Copies of the error for everybody who waited for what failed.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(super) fn copies(self) -> impl Fn() -> Self {
        let shared = Arc::new(self);
        move || match *shared {
            Self::Timeout => Self::Timeout,
            Self::Full => Self::Full,
            Self::Panicked => Self::Panicked,
            Self::Corrupt(what) => Self::Corrupt(what),
            Self::InvalidSubject(error) => Self::InvalidSubject(error),
            Self::Unsupported(what) => Self::Unsupported(what),
            Self::SchemaTooNew { found, known } => Self::SchemaTooNew { found, known },
            Self::Unavailable(_) => Self::unavailable(Shared(Arc::clone(&shared))),
        }
    }
}

/// The engine's error, shared by the copies.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
struct Shared(Arc<StoreError>);

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
impl Shared {
    fn error(&self) -> &(dyn StdError + 'static) {
        match &*self.0 {
            StoreError::Unavailable(source) => &**source,
            error => error,
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error(), f)
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.error(), f)
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().source()
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_causes(self))
    }
}

/// The error and its sources on one line.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors already include the text of their source.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

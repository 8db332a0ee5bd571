//! What can go wrong in a store.

use std::error::Error as StdError;
use std::fmt;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use std::sync::Arc;

use crate::identity::subject::InvalidSubject;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a store could not do what was asked of it.
///
/// To the layer every variant but [`InvalidSubject`](Self::InvalidSubject) is an outage: the
/// answer is 503 with `Retry-After`, never a trip to Webflow.
///
/// `Debug` is the message with its causes: what a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine cannot be reached, is locked, full or read-only, or its tables are gone.
    #[error("the token store is not available")]
    Unavailable(#[source] Source),
    /// The engine did not answer within the time allowed.
    #[error("the token store did not answer in time")]
    Timeout,
    /// The store keeps no more subjects; see its capacity.
    #[error("the token store is full")]
    Full,
    /// A row does not have the shape in which the store wrote it.
    #[error("the token store holds a row that it did not write: {0}")]
    Corrupt(&'static str),
    /// The store does not offer this look-up.
    #[error("this token store does not offer {0}")]
    Unsupported(&'static str),
    /// A newer version of the crate has migrated the database.
    #[error(
        "the token store's schema has version {found}, this version of the crate knows up to \
         {known}: update the crate, or give it a database of its own"
    )]
    #[non_exhaustive]
    SchemaTooNew {
        /// The version in the database.
        found: i64,
        /// The newest version that this crate knows.
        known: i64,
    },
    /// The subject's id is empty or too long.
    #[error(transparent)]
    InvalidSubject(#[from] InvalidSubject),
    /// The store panicked; its message is in the log of the panic, not here.
    #[error("the token store panicked")]
    Panicked,
}

impl StoreError {
    /// [`Unavailable`](Self::Unavailable), with the engine's own error as its source.
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

    /// The same error for each of those that share what failed.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(super) fn copies(self) -> impl Fn() -> Self {
        let shared = Arc::new(self);
        move || match *shared {
            Self::Timeout => Self::Timeout,
            Self::Unsupported(what) => Self::Unsupported(what),
            Self::SchemaTooNew { found, known } => Self::SchemaTooNew { found, known },
            _ => Self::unavailable(Shared(Arc::clone(&shared))),
        }
    }
}

/// The cause of an error, or the error itself.
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

/// An error with what led to it, in one line.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their source's words.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

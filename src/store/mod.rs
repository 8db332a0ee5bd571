//! Where sealed tokens are kept: the trait, and the stores that come with the crate.
//!
//! A store keeps rows of [`SealedToken`], found by subject. It never sees a token in clear:
//! sealing happens above it, bound to the row's key and version. Three methods make a store; one
//! that several instances share overrides [`TokenStore::update`] as well:
//!
//! ```
//! use std::{collections::HashMap, sync::Mutex};
//! use tower_webflow_auth::{Subject, store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion}};
//!
//! #[derive(Default)]
//! struct MyStore(Mutex<HashMap<TokenKey, SealedToken>>);
//!
//! impl TokenStore for MyStore {
//!     async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
//!         let rows = self.0.lock().map_err(|_| StoreError::unavailable("poisoned"))?;
//!         let mut mine: Vec<_> =
//!             rows.values().filter(|row| row.key().subject() == subject).cloned().collect();
//!         mine.sort_by_key(|row| std::cmp::Reverse(row.version()));
//!         Ok(mine)
//!     }
//!
//!     async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
//!         token.key().subject().validate()?;
//!         let mut rows = self.0.lock().map_err(|_| StoreError::unavailable("poisoned"))?;
//!         rows.insert(token.key().clone(), token.clone());
//!         Ok(())
//!     }
//!
//!     async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
//!         let mut rows = self.0.lock().map_err(|_| StoreError::unavailable("poisoned"))?;
//!         let seen = rows.get(key).is_some_and(|row| row.version() == version);
//!         Ok(seen && rows.remove(key).is_some())
//!     }
//! }
//! ```

use std::future::{Future, ready};
use std::time::Duration;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod columns;
mod erased;
mod error;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod group;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod sealed;
mod shared;
#[cfg(feature = "sqlite")]
mod sqlite;
mod watch;

pub(crate) use erased::ErasedStore;
pub use error::StoreError;
pub(crate) use error::with_causes;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub(crate) use sealed::at_unix_secs;
pub use sealed::{GrantId, SealedToken, TokenKey, TokenVersion};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use watch::ChangeSink;

use crate::identity::subject::Subject;

/// A place for sealed tokens.
///
/// The rules that every store keeps:
/// 1. A row is found by its exact subject: case, normalization and odd characters make another
///    subject.
/// 2. An invalid subject ([`Subject::validate`]) is refused on [`save`](Self::save) with
///    [`StoreError::InvalidSubject`].
/// 3. A [`save`](Self::save) that returned `Ok` is seen by every later [`load`](Self::load).
/// 4. [`remove`](Self::remove) compares the version and removes in one atomic step.
/// 5. [`update`](Self::update) never brings a row back, and never replaces a newer one.
/// 6. An engine that cannot be read is an error, never an empty answer.
///
/// # Cancel safety
/// A future of `load` may be dropped at any await. The layer runs every write to its end, in a task
/// of its own: also when a browser hangs up, and when the time that a request waits for it is over.
/// Only one that has not ended after a minute is dropped: its row is then whole or absent, and the
/// next write succeeds. A layer's writes of one subject come one
/// after another; those of several instances may come at once.
pub trait TokenStore: Send + Sync + 'static {
    /// Every grant of that subject, newest version first; empty when there is none.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    fn load(
        &self,
        subject: &Subject,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send;

    /// Inserts or replaces the row of (subject, grant id).
    ///
    /// # Errors
    /// Any [`StoreError`]; the row that was there before is then still there.
    fn save(&self, token: &SealedToken) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes only that version: a late removal never takes a newer token along. True if a row
    /// went.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    fn remove(
        &self,
        key: &TokenKey,
        version: TokenVersion,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Replaces the row of (subject, grant id) only while the version that is stored is this
    /// token's. True if it did. The layer writes so what it has learned of a grant in the
    /// background: meanwhile the user may have logged out or connected anew.
    ///
    /// The default reads, compares and then [`save`](Self::save)s. That is one step as far as one
    /// layer is concerned, since its writes of a subject come one after another; but a removal or
    /// a save by another instance between the two is undone. Override it where the engine can
    /// compare and write at once, and always where several instances share the store.
    ///
    /// # Errors
    /// As for [`load`](Self::load) and [`save`](Self::save).
    fn update(&self, token: &SealedToken) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            let rows = self.load(token.key().subject()).await?;
            let seen = (token.key(), token.version());
            let there = rows.iter().any(|row| (row.key(), row.version()) == seen);
            if there {
                self.save(token).await?;
            }
            Ok(there)
        }
    }

    /// Every grant that covers the site, newest version first.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides it.
    fn by_site(
        &self,
        site_id: &str,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send {
        let _ = site_id;
        ready(Err(StoreError::Unsupported("look-up by site")))
    }

    /// Every grant that covers the workspace, newest version first.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides it.
    fn by_workspace(
        &self,
        workspace_id: &str,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send {
        let _ = workspace_id;
        ready(Err(StoreError::Unsupported("look-up by workspace")))
    }

    /// The rows behind `after` in the order of their keys (see [`TokenKey`]), `limit` at most; from
    /// the first one without `after`. Only the page behind the last row is empty.
    ///
    /// `after` need not exist. A row that is saved or removed between two pages may be missing or
    /// included; every other row is in exactly one of them.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides it.
    fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send {
        let _ = (after, limit);
        ready(Err(StoreError::Unsupported("listing")))
    }

    /// Removes every grant whose token was obtained longer ago than `age`, whichever app it belongs
    /// to, and returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides it.
    fn purge_older_than(
        &self,
        age: Duration,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let _ = age;
        ready(Err(StoreError::Unsupported("purging")))
    }

    /// Whether the store can be used right now; the default says that it can.
    ///
    /// # Errors
    /// The error that a look-up would meet.
    fn healthy(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }

    /// What works less well than it should, one sentence each; empty when nothing does.
    ///
    /// Only the doctor asks. A store whose sign-ins work is [`healthy`](Self::healthy) in spite of
    /// a warning, for example when it cannot receive the changes of other instances.
    fn warnings(&self) -> impl Future<Output = Vec<String>> + Send {
        ready(Vec::new())
    }

    /// Tells of changes that other instances make, for as long as the returned future runs.
    ///
    /// The layer runs it in a task of its own and drops it with the layer. It should reconnect by
    /// itself, and call [`ChangeSink::everything`] whenever news may have been missed. The default
    /// tells nothing: what other instances change is then noticed after the cache's time.
    fn watch(&self, changes: ChangeSink) -> impl Future<Output = ()> + Send {
        let _ = changes;
        ready(())
    }
}

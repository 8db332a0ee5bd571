//! Token stores: the [`TokenStore`] trait and the implementations that come with the crate.
//!
//! A store keeps rows of [`SealedToken`], found by subject. It never sees a plaintext token: the
//! layer encrypts each grant and binds it to the row's key and version. A store implements three
//! methods. One that several instances share overrides [`TokenStore::update`] as well:
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

mod erased;
mod error;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod group;
mod invalidation;
mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod sealed;
mod shared;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql_row;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use erased::ErasedStore;
pub use error::StoreError;
pub(crate) use error::with_causes;
pub use invalidation::Invalidator;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub(crate) use sealed::time_from_unix_secs;
pub use sealed::{GrantId, SealedToken, TokenKey, TokenVersion};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

pub use crate::identity::subject::InvalidSubject;
use crate::identity::subject::Subject;

/// Persists sealed tokens.
///
/// Every store must follow these rules:
/// 1. A row is found by its exact subject. Differences in case, normalization or unusual characters
///    make a different subject.
/// 2. [`save`](Self::save) rejects an invalid subject ([`Subject::validate`]) with
///    [`StoreError::InvalidSubject`].
/// 3. Every [`load`](Self::load) sees each earlier [`save`](Self::save) that returned `Ok`.
/// 4. [`remove`](Self::remove) compares the version and removes the row in one atomic step.
/// 5. [`update`](Self::update) never restores a removed row and never replaces a newer one.
/// 6. A database that cannot be read is an error, never an empty result.
///
/// # Cancel safety
/// The layer may drop the future of `load` at any await. It runs every write in its own task to
/// completion, even if the client disconnects or the request stops waiting. A write that takes
/// longer than a minute is dropped: its row must then be whole or absent, and the next write must
/// succeed. One layer's writes for a subject are sequential; writes from different instances may be
/// concurrent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a token store",
    label = "not a token store",
    note = "opening a store takes `.await?`, for example `SqliteStore::open(path).await?`",
    note = "to use a database of your own, implement `TokenStore`"
)]
pub trait TokenStore: Send + Sync + 'static {
    /// Returns every grant of the subject, newest version first, or an empty list.
    ///
    /// # Errors
    /// Any [`StoreError`] except `Full`.
    fn load(
        &self,
        subject: &Subject,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send;

    /// Inserts or replaces the row of (subject, grant ID).
    ///
    /// # Errors
    /// Any [`StoreError`]. The previous row is then unchanged.
    fn save(&self, token: &SealedToken) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes the row if it has this version, so that a late removal never deletes a newer token.
    /// Returns whether a row was removed.
    ///
    /// # Errors
    /// Any [`StoreError`] except `Full`.
    fn remove(
        &self,
        key: &TokenKey,
        version: TokenVersion,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Replaces the row of (subject, grant ID) if the stored version is this token's. Returns
    /// whether it did. The layer uses this for background updates, during which the user may have
    /// logged out or reconnected.
    ///
    /// The default implementation loads, compares and then [`save`](Self::save)s. Within one layer
    /// that is safe, because the layer's writes for a subject are sequential. With several
    /// instances it can undo another instance's removal or save, so override it if instances share
    /// the store or the database can compare and write in one step.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load) and [`save`](Self::save).
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

    /// Returns every grant that covers the site, newest version first.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides this method.
    fn by_site(
        &self,
        site_id: &str,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send {
        let _ = site_id;
        ready(Err(StoreError::Unsupported("lookup by site")))
    }

    /// Returns every grant that covers the workspace, newest version first.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides this method.
    fn by_workspace(
        &self,
        workspace_id: &str,
    ) -> impl Future<Output = Result<Vec<SealedToken>, StoreError>> + Send {
        let _ = workspace_id;
        ready(Err(StoreError::Unsupported("lookup by workspace")))
    }

    /// Returns up to `limit` rows after the key `after`, in the order of [`TokenKey`], or the first
    /// rows without `after`. Only the page after the last row is empty.
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

    /// Removes every grant, of any app, whose token was obtained longer ago than `age`. Returns how
    /// many.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store overrides this method.
    fn purge_older_than(
        &self,
        age: Duration,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let _ = age;
        ready(Err(StoreError::Unsupported("purging")))
    }

    /// Checks that the store can be used right now. The default returns `Ok`.
    ///
    /// # Errors
    /// The error that a login would hit.
    fn healthy(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }

    /// Returns problems that do not break logins, one sentence each. The default is none.
    ///
    /// Only the doctor calls this. A store with warnings is still [`healthy`](Self::healthy), for
    /// example if it cannot receive changes from other instances.
    fn warnings(&self) -> impl Future<Output = Vec<String>> + Send {
        ready(Vec::new())
    }

    /// Reports changes made by other instances for as long as the returned future runs.
    ///
    /// The layer runs it in its own task and drops it with the layer. Implementations reconnect on
    /// their own and call [`Invalidator::all`] whenever they may have missed a change. The default
    /// reports nothing: changes by other instances then become visible when cache entries expire.
    fn watch(&self, changes: Invalidator) -> impl Future<Output = ()> + Send {
        let _ = changes;
        ready(())
    }
}

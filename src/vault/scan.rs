//! Every stored grant of this app, one after another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::Vault;
use crate::identity::subject::Subject;
use crate::store::{GrantId, SealedToken, StoreError, TokenKey};

/// How many rows are read with one call of the store.
const PAGE: usize = 200;

/// How many rows a purge removes concurrently.
const REMOVALS: usize = 16;

/// Rows that were read, and where the next page begins.
struct Cursor {
    page: std::vec::IntoIter<SealedToken>,
    after: TokenKey,
    /// Where the app's subjects of the second kind begin, until they are reached.
    next: Option<TokenKey>,
    is_over: bool,
}

impl Vault {
    /// The rows of this app in the order of their keys, from the first one behind `after`. An error
    /// ends the stream.
    pub fn scan(
        self: &Arc<Self>,
        after: Option<&TokenKey>,
    ) -> impl Stream<Item = Result<SealedToken, StoreError>> + Send + use<> {
        let vault = Arc::clone(self);
        let cursor = vault.cursor(after);
        stream::once(async move { cursor }).flat_map(move |cursor| match cursor {
            Ok(cursor) => vault.rows(cursor).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        })
    }

    fn cursor(&self, after: Option<&TokenKey>) -> Result<Cursor, StoreError> {
        let first = Subject::first_stored(&self.app);
        let [sessions, users] = first.map(|subject| TokenKey::new(subject, GrantId::new("")));
        let after = match after {
            None => sessions,
            Some(key) => key.of_app(&self.app).as_ref().unwrap_or(key).stored(&self.app)?,
        };
        let next = (after < users).then_some(users);
        Ok(Cursor { page: Vec::new().into_iter(), after, next, is_over: false })
    }

    fn rows(
        self: &Arc<Self>,
        cursor: Cursor,
    ) -> impl Stream<Item = Result<SealedToken, StoreError>> + Send + use<> {
        let vault = Arc::clone(self);
        stream::try_unfold(cursor, move |cursor| {
            let vault = Arc::clone(&vault);
            async move { vault.next(cursor).await }
        })
    }

    async fn next(&self, mut cursor: Cursor) -> Result<Option<(SealedToken, Cursor)>, StoreError> {
        loop {
            if let Some(row) = cursor.page.next() {
                return Ok(Some((row, cursor)));
            }
            if cursor.is_over {
                // Other apps' rows between the two kinds are not read.
                let Some(next) = cursor.next.take() else { return Ok(None) };
                (cursor.after, cursor.is_over) = (next, false);
            }
            let page = self.within(self.store.page(Some(&cursor.after), PAGE)).await?;
            let read = page.len();
            let is_session = cursor.next.is_some();
            let own = |row: &SealedToken| {
                row.key().of_app(&self.app).is_some()
                    && row.key().subject().is_session() == is_session
            };
            let page: Vec<_> = page.into_iter().take_while(own).collect();
            cursor.is_over = page.len() < read || read == 0;
            if let Some(last) = page.last() {
                cursor.after = last.key().clone();
            }
            cursor.page = page.into_iter();
        }
    }

    /// Removes this app's grants whose token was obtained longer ago than `age`. In a store that
    /// cannot list, every app's.
    pub async fn purge_older_than(self: &Arc<Self>, age: Duration) -> Result<u64, StoreError> {
        match self.purge_own(age).await {
            Err(StoreError::Unsupported(_)) => {
                let purged = self.store.purge_older_than(age).await;
                self.cache.forget_all();
                purged
            }
            purged => purged,
        }
    }

    async fn purge_own(self: &Arc<Self>, age: Duration) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let is_old = |row: &SealedToken| {
            now.duration_since(row.obtained_at()).is_ok_and(|passed| passed > age)
        };
        let old = self.scan(None).try_filter(|row| std::future::ready(is_old(row)));
        let removals = old.map_ok(|row| self.remove_row(row)).try_buffer_unordered(REMOVALS);
        removals.try_fold(0, |sum, removed| async move { Ok(sum + u64::from(removed)) }).await
    }
}

//! One store for several layers.

use std::sync::Arc;
use std::time::Duration;

use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::subject::Subject;

/// For two apps in one process: both layers get a clone.
impl<S: TokenStore> TokenStore for Arc<S> {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        (**self).load(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        (**self).save(token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        (**self).remove(key, version).await
    }

    async fn update(&self, token: &SealedToken) -> Result<bool, StoreError> {
        (**self).update(token).await
    }

    async fn by_site(&self, site_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        (**self).by_site(site_id).await
    }

    async fn by_workspace(&self, workspace_id: &str) -> Result<Vec<SealedToken>, StoreError> {
        (**self).by_workspace(workspace_id).await
    }

    async fn page(
        &self,
        after: Option<&TokenKey>,
        limit: usize,
    ) -> Result<Vec<SealedToken>, StoreError> {
        (**self).page(after, limit).await
    }

    async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        (**self).purge_older_than(age).await
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        (**self).healthy().await
    }

    async fn warnings(&self) -> Vec<String> {
        (**self).warnings().await
    }

    async fn watch(&self, changes: Invalidator) {
        (**self).watch(changes).await;
    }
}

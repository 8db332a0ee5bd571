//! Cache invalidation by the store.

use std::fmt;
use std::sync::Arc;

use crate::identity::app::AppId;
use crate::identity::subject::Subject;
use crate::vault::cache::Cache;

/// Invalidates cache entries on behalf of [`TokenStore::watch`](super::TokenStore::watch), when
/// other instances have changed a grant.
#[derive(Clone)]
pub struct Invalidator {
    pub(crate) cache: Arc<Cache>,
    pub(crate) app: AppId,
}

impl Invalidator {
    /// Invalidates one subject: one of its grants was written or removed. Other apps' subjects are
    /// ignored.
    pub fn subject(&self, subject: &Subject) {
        if let Some(subject) = subject.of_app(&self.app) {
            self.cache.forget(&subject);
        }
    }

    /// Invalidates every subject, for example after a lost connection may have hidden changes.
    pub fn all(&self) {
        self.cache.forget_all();
    }
}

impl fmt::Debug for Invalidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invalidator")
    }
}

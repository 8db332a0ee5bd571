//! How a store tells of changes that other instances have made.

use std::fmt;
use std::sync::Arc;

use crate::identity::app::AppId;
use crate::identity::subject::Subject;
use crate::vault::cache::Cache;

/// Takes the news of changes that other instances make; see
/// [`TokenStore::watch`](super::TokenStore::watch).
#[derive(Clone)]
pub struct ChangeSink {
    pub(crate) cache: Arc<Cache>,
    pub(crate) app: AppId,
}

impl ChangeSink {
    /// A grant of this subject was written or removed. Other apps' subjects are ignored.
    pub fn changed(&self, subject: &Subject) {
        if let Some(subject) = subject.of_app(&self.app) {
            self.cache.forget(&subject);
        }
    }

    /// Anything may have changed: news may have been missed, for example after a connection was
    /// lost.
    pub fn everything(&self) {
        self.cache.forget_all();
    }
}

impl fmt::Debug for ChangeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeSink")
    }
}

//! How a store tells of changes that other instances have made.

use std::fmt;
use std::sync::Arc;

use crate::identity::subject::Subject;
use crate::vault::cache::Cache;

/// Takes the news of changes that other instances make; see
/// [`TokenStore::watch`](super::TokenStore::watch).
#[derive(Clone)]
pub struct ChangeSink(pub(crate) Arc<Cache>);

impl ChangeSink {
    /// A grant of this subject was written or removed.
    pub fn changed(&self, subject: &Subject) {
        self.0.forget(subject);
    }

    /// Anything may have changed: news may have been missed, for example after a connection was
    /// lost.
    pub fn everything(&self) {
        self.0.forget_all();
    }
}

impl fmt::Debug for ChangeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeSink")
    }
}

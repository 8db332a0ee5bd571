//! A store behind a pointer, so that the layer has no type parameter for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{ChangeSink, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::resolver::CatchPanic;
use crate::identity::subject::Subject;

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`TokenStore`] with boxed futures, where a panic has become an error.
pub trait ErasedStore: Send + Sync {
    fn load<'a>(&'a self, subject: &'a Subject) -> Answer<'a, Vec<SealedToken>>;
    fn save<'a>(&'a self, token: &'a SealedToken) -> Answer<'a, ()>;
    fn remove<'a>(&'a self, key: &'a TokenKey, version: TokenVersion) -> Answer<'a, bool>;
    fn update<'a>(&'a self, token: &'a SealedToken) -> Answer<'a, bool>;
    fn by_site<'a>(&'a self, site_id: &'a str) -> Answer<'a, Vec<SealedToken>>;
    fn by_workspace<'a>(&'a self, workspace_id: &'a str) -> Answer<'a, Vec<SealedToken>>;
    fn page<'a>(
        &'a self,
        after: Option<&'a TokenKey>,
        limit: usize,
    ) -> Answer<'a, Vec<SealedToken>>;
    fn purge_older_than(&self, age: Duration) -> Answer<'_, u64>;
    fn healthy(&self) -> Answer<'_, ()>;
    fn warnings(&self) -> Answer<'_, Vec<String>>;
    fn watch(self: Arc<Self>, changes: ChangeSink) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<S: TokenStore> ErasedStore for S {
    fn load<'a>(&'a self, subject: &'a Subject) -> Answer<'a, Vec<SealedToken>> {
        guard(move || TokenStore::load(self, subject))
    }

    fn save<'a>(&'a self, token: &'a SealedToken) -> Answer<'a, ()> {
        guard(move || TokenStore::save(self, token))
    }

    fn remove<'a>(&'a self, key: &'a TokenKey, version: TokenVersion) -> Answer<'a, bool> {
        guard(move || TokenStore::remove(self, key, version))
    }

    fn update<'a>(&'a self, token: &'a SealedToken) -> Answer<'a, bool> {
        guard(move || TokenStore::update(self, token))
    }

    fn by_site<'a>(&'a self, site_id: &'a str) -> Answer<'a, Vec<SealedToken>> {
        guard(move || TokenStore::by_site(self, site_id))
    }

    fn by_workspace<'a>(&'a self, workspace_id: &'a str) -> Answer<'a, Vec<SealedToken>> {
        guard(move || TokenStore::by_workspace(self, workspace_id))
    }

    fn page<'a>(
        &'a self,
        after: Option<&'a TokenKey>,
        limit: usize,
    ) -> Answer<'a, Vec<SealedToken>> {
        guard(move || TokenStore::page(self, after, limit))
    }

    fn purge_older_than(&self, age: Duration) -> Answer<'_, u64> {
        guard(move || TokenStore::purge_older_than(self, age))
    }

    fn healthy(&self) -> Answer<'_, ()> {
        guard(move || TokenStore::healthy(self))
    }

    fn warnings(&self) -> Answer<'_, Vec<String>> {
        guard(move || async move { Ok(TokenStore::warnings(self).await) })
    }

    fn watch(self: Arc<Self>, changes: ChangeSink) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { TokenStore::watch(&*self, changes).await })
    }
}

/// An operation whose panic, while it is made or polled, is [`StoreError::Panicked`].
fn guard<'a, T: Send + 'a, F>(make: impl FnOnce() -> F + Send + 'a) -> Answer<'a, T>
where
    F: Future<Output = Result<T, StoreError>> + Send + 'a,
{
    Box::pin(async move {
        let operation = Box::pin(async move { make().await });
        CatchPanic(operation).await.unwrap_or(Err(StoreError::Panicked))
    })
}

//! A type-erased [`TokenStore`], so that the layer needs no type parameter for its store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Invalidator, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use crate::identity::resolver::CatchPanic;
use crate::identity::subject::Subject;

type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`TokenStore`] with boxed futures. A panic becomes [`StoreError::Panicked`].
pub trait ErasedStore: Send + Sync {
    fn load<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<SealedToken>>;
    fn save<'a>(&'a self, token: &'a SealedToken) -> StoreFuture<'a, ()>;
    fn remove<'a>(&'a self, key: &'a TokenKey, version: TokenVersion) -> StoreFuture<'a, bool>;
    fn update<'a>(&'a self, token: &'a SealedToken) -> StoreFuture<'a, bool>;
    fn by_site<'a>(&'a self, site_id: &'a str) -> StoreFuture<'a, Vec<SealedToken>>;
    fn by_workspace<'a>(&'a self, workspace_id: &'a str) -> StoreFuture<'a, Vec<SealedToken>>;
    fn page<'a>(
        &'a self,
        after: Option<&'a TokenKey>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SealedToken>>;
    fn purge_older_than(&self, age: Duration) -> StoreFuture<'_, u64>;
    fn healthy(&self) -> StoreFuture<'_, ()>;
    fn warnings(&self) -> StoreFuture<'_, Vec<String>>;
    fn watch(self: Arc<Self>, changes: Invalidator) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<S: TokenStore> ErasedStore for S {
    fn load<'a>(&'a self, subject: &'a Subject) -> StoreFuture<'a, Vec<SealedToken>> {
        catch_panics(move || TokenStore::load(self, subject))
    }

    fn save<'a>(&'a self, token: &'a SealedToken) -> StoreFuture<'a, ()> {
        catch_panics(move || TokenStore::save(self, token))
    }

    fn remove<'a>(&'a self, key: &'a TokenKey, version: TokenVersion) -> StoreFuture<'a, bool> {
        catch_panics(move || TokenStore::remove(self, key, version))
    }

    fn update<'a>(&'a self, token: &'a SealedToken) -> StoreFuture<'a, bool> {
        catch_panics(move || TokenStore::update(self, token))
    }

    fn by_site<'a>(&'a self, site_id: &'a str) -> StoreFuture<'a, Vec<SealedToken>> {
        catch_panics(move || TokenStore::by_site(self, site_id))
    }

    fn by_workspace<'a>(&'a self, workspace_id: &'a str) -> StoreFuture<'a, Vec<SealedToken>> {
        catch_panics(move || TokenStore::by_workspace(self, workspace_id))
    }

    fn page<'a>(
        &'a self,
        after: Option<&'a TokenKey>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SealedToken>> {
        catch_panics(move || TokenStore::page(self, after, limit))
    }

    fn purge_older_than(&self, age: Duration) -> StoreFuture<'_, u64> {
        catch_panics(move || TokenStore::purge_older_than(self, age))
    }

    fn healthy(&self) -> StoreFuture<'_, ()> {
        catch_panics(move || TokenStore::healthy(self))
    }

    fn warnings(&self) -> StoreFuture<'_, Vec<String>> {
        catch_panics(move || async move { Ok(TokenStore::warnings(self).await) })
    }

    fn watch(self: Arc<Self>, changes: Invalidator) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { TokenStore::watch(&*self, changes).await })
    }
}

/// Boxes an operation and turns a panic, while it is created or polled, into
/// [`StoreError::Panicked`].
fn catch_panics<'a, T: Send + 'a, F>(make: impl FnOnce() -> F + Send + 'a) -> StoreFuture<'a, T>
where
    F: Future<Output = Result<T, StoreError>> + Send + 'a,
{
    Box::pin(async move {
        let operation = Box::pin(async move { make().await });
        CatchPanic(operation).await.unwrap_or(Err(StoreError::Panicked))
    })
}

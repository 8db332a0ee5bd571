//! Connections that stay open between operations, in a pool of deadpool's.
//!
//! sqlx's own pool pings every connection that is returned to it, which costs each operation another
//! round trip. This one takes back only connections whose operation has succeeded; the others are
//! closed, because their state is not known.

use deadpool::managed::{Manager, Object, PoolError, QueueMode};
use scopeguard::ScopeGuard;
use sqlx::Error;

pub use deadpool::managed::Pool;

/// A connection in use, which is closed unless it is [released](release).
pub type Lease<M> = ScopeGuard<Object<M>, fn(Object<M>)>;

/// A pool of at most so many connections, of which the one used last is used next.
///
/// # Errors
/// The pool rejects its settings.
pub fn new<M: Manager>(manager: M, limit: u32) -> Result<Pool<M>, Error> {
    let pool = Pool::builder(manager).max_size(limit as usize).queue_mode(QueueMode::Lifo);
    pool.build().map_err(|error| Error::Configuration(error.into()))
}

/// Waits while as many connections as allowed are in use.
///
/// # Errors
/// The error of opening a connection; [`Error::PoolClosed`].
pub async fn lease<M: Manager<Error = Error>>(pool: &Pool<M>) -> Result<Lease<M>, Error> {
    let close: fn(Object<M>) = |object| drop(Object::take(object));
    match pool.get().await {
        Ok(object) => Ok(scopeguard::guard(object, close)),
        Err(PoolError::Backend(error)) => Err(error),
        Err(PoolError::Closed) => Err(Error::PoolClosed),
        Err(error) => Err(Error::Configuration(error.into())),
    }
}

/// Keeps the connection for the next operation.
pub fn release<M: Manager>(lease: Lease<M>) {
    drop(ScopeGuard::into_inner(lease));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use deadpool::managed::{Metrics, RecycleResult};
    use futures_util::FutureExt;

    use super::*;

    /// Opens connection 1, 2, 3 and so on.
    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Manager for Counter {
        type Type = u32;
        type Error = Error;

        async fn create(&self) -> Result<u32, Error> {
            Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
        }

        async fn recycle(&self, _: &mut u32, _: &Metrics) -> RecycleResult<Error> {
            Ok(())
        }
    }

    fn pool(limit: u32) -> Pool<Counter> {
        new(Counter::default(), limit).unwrap()
    }

    #[tokio::test]
    async fn released_connections_are_used_again_and_dropped_ones_are_closed() {
        let pool = pool(2);
        release(lease(&pool).await.unwrap());
        let first = lease(&pool).await.unwrap();
        assert_eq!(**first, 1);
        drop(first);
        assert_eq!(pool.status().size, 0);
        assert_eq!(**lease(&pool).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn no_more_than_allowed_are_in_use() {
        let pool = pool(1);
        let first = lease(&pool).await.unwrap();
        let mut second = Box::pin(lease(&pool));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(**second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn connection_used_last_is_used_next() {
        let pool = pool(2);
        let (first, second) = (lease(&pool).await.unwrap(), lease(&pool).await.unwrap());
        release(second);
        release(first);
        assert_eq!(**lease(&pool).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn closed_pool_lends_nothing() {
        let pool = pool(1);
        let first = lease(&pool).await.unwrap();
        pool.close();
        assert!(matches!(lease(&pool).await, Err(Error::PoolClosed)));
        release(first);
        assert_eq!(pool.status().size, 0);
    }
}

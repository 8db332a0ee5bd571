//! Connections that stay open between operations.
//!
//! sqlx's own pool pings every connection that is returned to it, which costs each operation another
//! round trip. This one takes back only connections whose operation has succeeded; the others are
//! closed, because their state is not known.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout};

pub struct Pool<C> {
    limit: u32,
    permits: Semaphore,
    /// The one that was used last is the last.
    idle: Mutex<Vec<Idle<C>>>,
}

/// A connection that nobody uses.
pub struct Idle<C> {
    pub connection: C,
    pub opened: Instant,
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a file has no time limits"))]
    pub since: Instant,
}

/// The right to use a connection.
pub struct Slot<'p, C> {
    pool: &'p Pool<C>,
    permit: SemaphorePermit<'p>,
}

/// A connection in use, which is closed unless it is released.
pub struct Lease<'p, C> {
    connection: C,
    opened: Instant,
    slot: Slot<'p, C>,
}

impl<C> Pool<C> {
    pub fn new(limit: u32) -> Self {
        Self { limit, permits: Semaphore::new(limit as usize), idle: Mutex::default() }
    }

    /// How many connections may be open.
    #[cfg(feature = "postgres")]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Waits while as many connections as allowed are in use.
    pub async fn slot(&self, patience: Duration) -> Result<Slot<'_, C>, Error> {
        let permit = match self.permits.try_acquire() {
            Err(TryAcquireError::NoPermits) => {
                let permit = timeout(patience, self.permits.acquire()).await;
                permit.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)?
            }
            permit => permit.map_err(|_| Error::PoolClosed)?,
        };
        Ok(Slot { pool: self, permit })
    }

    /// Adds an open connection.
    #[cfg(any(test, feature = "sqlite"))]
    pub fn add(&self, connection: C) {
        let now = Instant::now();
        self.idle().push(Idle { connection, opened: now, since: now });
    }

    /// Takes out the connections that have not been used for so long.
    #[cfg(any(test, feature = "postgres"))]
    pub fn take_unused(&self, longer: Duration) -> Vec<Idle<C>> {
        self.idle().extract_if(.., |it| it.since.elapsed() > longer).collect()
    }

    /// Waits for the operations under way, and takes all connections out for good.
    #[cfg(any(test, feature = "sqlite"))]
    pub async fn close(&self) -> impl Iterator<Item = C> + use<C> {
        let all = self.permits.acquire_many(self.limit).await;
        self.permits.close();
        drop(all);
        std::mem::take(&mut *self.idle()).into_iter().map(|idle| idle.connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'p, C> Slot<'p, C> {
    /// The connection that was used last.
    pub fn idle(&self) -> Option<Idle<C>> {
        self.pool.idle().pop()
    }

    pub fn lease(self, connection: C, opened: Instant) -> Lease<'p, C> {
        Lease { connection, opened, slot: self }
    }
}

impl<C> Lease<'_, C> {
    /// Keeps the connection for the next operation.
    pub fn release(self) {
        let Self { connection, opened, slot: Slot { pool, permit } } = self;
        pool.idle().push(Idle { connection, opened, since: Instant::now() });
        // Only now, so that the next operation finds the connection.
        drop(permit);
    }
}

impl<C> Deref for Lease<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Lease<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C> fmt::Debug for Lease<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test]
    async fn released_connections_are_used_again_and_dropped_ones_are_not() {
        let pool = Pool::new(2);
        pool.add(1);
        let slot = pool.slot(PATIENCE).await.unwrap();
        let idle = slot.idle().unwrap();
        slot.lease(idle.connection, idle.opened).release();
        let slot = pool.slot(PATIENCE).await.unwrap();
        let idle = slot.idle().unwrap();
        assert_eq!(idle.connection, 1);
        drop(slot.lease(idle.connection, idle.opened));
        assert!(pool.slot(PATIENCE).await.unwrap().idle().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_allowed_are_in_use() {
        let pool = Pool::<()>::new(1);
        let first = pool.slot(PATIENCE).await.unwrap();
        assert!(matches!(pool.slot(PATIENCE).await, Err(Error::PoolTimedOut)));
        let waiting = pool.slot(PATIENCE);
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn unused_connections_are_taken_out() {
        let pool = Pool::new(3);
        pool.add(1);
        tokio::time::advance(PATIENCE * 2).await;
        pool.add(2);
        let unused: Vec<_> =
            pool.take_unused(PATIENCE).into_iter().map(|it| it.connection).collect();
        assert_eq!(unused, [1]);
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_in_use() {
        let pool = Pool::new(2);
        let lease = pool.slot(PATIENCE).await.unwrap().lease(1, Instant::now());
        let mut closing = Box::pin(pool.close());
        assert!(closing.as_mut().now_or_never().is_none());
        lease.release();
        assert_eq!(closing.await.collect::<Vec<_>>(), [1]);
        assert!(matches!(pool.slot(PATIENCE).await, Err(Error::PoolClosed)));
    }
}

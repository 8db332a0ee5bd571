//! The open connections: the store's own, or those of the application's pool.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, RecycleResult};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};
use sqlx::{Connection, Error};
use tokio::time::{Instant, timeout};

use crate::store::pool::{self, Lease, Pool};

/// A connection that was idle for longer is tested before use.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits of sqlx's own pool: a connection that nobody needs is given back to the server, and
/// none grows old with what the server has cached for it.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

pub enum Open {
    Own { pool: Pool<Opener>, limit: u32 },
    Shared(PgPool),
}

pub struct Opener(PgConnectOptions);

impl Manager for Opener {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection, Error> {
        Box::pin(PgConnection::connect_with(&self.0)).await
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<Error> {
        if metrics.last_used() > TRUSTED_IDLE {
            let pong = timeout(PING_TIMEOUT, connection.ping()).await;
            pong.unwrap_or(Err(Error::PoolTimedOut))?;
        }
        Ok(())
    }
}

impl Open {
    /// # Errors
    /// The pool rejects its settings.
    pub fn own(options: PgConnectOptions, limit: u32) -> Result<Self, Error> {
        Ok(Self::Own { pool: pool::new(Opener(options), limit)?, limit })
    }

    /// A connection that was opened after `retired`.
    pub async fn acquire(&self, retired: Option<Instant>) -> Result<Checked, Error> {
        let pool = match self {
            Self::Own { pool, .. } => pool,
            Self::Shared(pool) => {
                return Ok(Checked::Shared(Shared { inner: pool.acquire().await?, clean: false }));
            }
        };
        let is_current = |metrics: Metrics| {
            retired.is_none_or(|retired| metrics.created > retired.into_std())
                && metrics.age() < LONGEST_LIFE
                && metrics.last_used() < LONGEST_IDLE
        };
        for outdated in pool.retain(|_, metrics| is_current(metrics)).removed {
            // Tells the server.
            tokio::spawn(timeout(PING_TIMEOUT, outdated.close()));
        }
        loop {
            let connection = pool::lease(pool).await?;
            // One that was in use may have been released since.
            if is_current(*Object::metrics(&connection)) {
                return Ok(Checked::Own(connection));
            }
        }
    }

    pub fn max_connections(&self) -> u32 {
        match self {
            Self::Own { limit, .. } => *limit,
            Self::Shared(pool) => pool.options().get_max_connections(),
        }
    }
}

/// A connection that is closed unless it is [released](Self::release), because its state is unknown
/// after an error or a cancellation.
pub enum Checked {
    Own(Lease<Opener>),
    Shared(Shared),
}

pub struct Shared {
    inner: PoolConnection<Postgres>,
    clean: bool,
}

impl Checked {
    pub fn release(self) {
        match self {
            Self::Own(lease) => pool::release(lease),
            Self::Shared(mut shared) => shared.clean = true,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.clean {
            self.inner.close_on_drop();
        }
    }
}

impl Deref for Checked {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(lease) => lease,
            Self::Shared(shared) => &shared.inner,
        }
    }
}

impl DerefMut for Checked {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(lease) => lease,
            Self::Shared(shared) => &mut shared.inner,
        }
    }
}

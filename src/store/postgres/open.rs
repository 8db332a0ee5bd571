//! The open connections: the store's own, or those of the application's pool.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};
use sqlx::{Connection, Error};
use tokio::time::{Instant, timeout};

use super::connections::OPERATION_TIMEOUT;
use crate::store::pool::{Lease, Pool};

/// A connection that was idle for longer is tested before use.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits of sqlx's own pool: a connection that nobody needs is given back to the server, and
/// none grows old with what the server has cached for it.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

pub enum Open {
    Own { options: Box<PgConnectOptions>, pool: Pool<PgConnection> },
    Shared(PgPool),
}

impl Open {
    pub fn own(options: PgConnectOptions, max_connections: u32) -> Self {
        Self::Own { options: Box::new(options), pool: Pool::new(max_connections) }
    }

    /// A connection that was opened after `retired`.
    pub async fn acquire(&self, retired: Option<Instant>) -> Result<Checked<'_>, Error> {
        let (options, pool) = match self {
            Self::Own { options, pool } => (options, pool),
            Self::Shared(pool) => {
                return Ok(Checked::Shared(Shared { inner: pool.acquire().await?, clean: false }));
            }
        };
        let slot = pool.slot(OPERATION_TIMEOUT).await?;
        for unused in pool.take_unused(LONGEST_IDLE) {
            close(unused.connection);
        }
        while let Some(mut idle) = slot.idle() {
            let is_young = retired.is_none_or(|retired| idle.opened > retired)
                && idle.opened.elapsed() < LONGEST_LIFE;
            let is_alive = is_young
                && (idle.since.elapsed() <= TRUSTED_IDLE
                    || timeout(PING_TIMEOUT, idle.connection.ping())
                        .await
                        .is_ok_and(|it| it.is_ok()));
            if is_alive {
                return Ok(Checked::Own(slot.lease(idle.connection, idle.opened)));
            }
            close(idle.connection);
        }
        let opened = Instant::now();
        let connection = PgConnection::connect_with(options).await?;
        Ok(Checked::Own(slot.lease(connection, opened)))
    }

    pub fn max_connections(&self) -> u32 {
        match self {
            Self::Own { pool, .. } => pool.limit(),
            Self::Shared(pool) => pool.options().get_max_connections(),
        }
    }
}

/// Tells the server, in the background.
fn close(connection: PgConnection) {
    tokio::spawn(timeout(PING_TIMEOUT, connection.close()));
}

/// A connection that is closed unless it is [released](Self::release), because its state is unknown
/// after an error or a cancellation.
pub enum Checked<'o> {
    Own(Lease<'o, PgConnection>),
    Shared(Shared),
}

pub struct Shared {
    inner: PoolConnection<Postgres>,
    clean: bool,
}

impl Checked<'_> {
    pub fn release(self) {
        match self {
            Self::Own(lease) => lease.release(),
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

impl Deref for Checked<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(lease) => lease,
            Self::Shared(shared) => &shared.inner,
        }
    }
}

impl DerefMut for Checked<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(lease) => lease,
            Self::Shared(shared) => &mut shared.inner,
        }
    }
}

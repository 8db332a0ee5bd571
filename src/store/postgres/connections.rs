//! Connections, and recovery from failed ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Connection, Error};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::fault::{self, Remedy, remedy};
use super::names::Names;
use super::open::Open;
use super::pooler::{self, Route};
use super::schema;

/// Time limit of one operation, including its retries.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);

/// How long to retry while the server at the address cannot serve.
const RETRY_FOR: Duration = Duration::from_secs(2);

/// Pause before a retry that may get another outdated connection from the pool.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Server-side limit, so that the server does not continue a statement that was abandoned.
const STATEMENT_TIMEOUT: &str = "4s";

/// How long a statement waits for a row that somebody has locked.
const LOCK_TIMEOUT: &str = "1s";

const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '4s'; SET LOCAL lock_timeout = '1s'";

/// The rows of the last statement.
pub struct Ran {
    pub rows: Vec<PgRow>,
    /// Whether an earlier attempt may have had an effect.
    pub repeated: bool,
}

/// A statement with its values.
pub type BoundQuery<'q> = Query<'q, Postgres, PgArguments>;

/// Provides the store's connections. Opens nothing before the first use, so a store can be created
/// outside a runtime.
pub struct Connections {
    source: Source,
    opened: OnceCell<Opened>,
    retired: watch::Sender<Option<Instant>>,
}

enum Source {
    Options { options: Box<PgConnectOptions>, max_connections: u32 },
    Pool(PgPool),
}

struct Opened {
    connections: Open,
    /// Whether each connection has its own server connection, so that statements can be prepared by
    /// name and need no transaction.
    direct: AtomicBool,
}

impl Connections {
    pub fn new(options: PgConnectOptions, max_connections: u32) -> Self {
        // PgBouncer rejects this startup parameter, which only affects floats.
        let options = Box::new(options.extra_float_digits(None));
        Self::from(Source::Options { options, max_connections: max_connections.max(1) })
    }

    pub fn over(pool: PgPool) -> Self {
        Self::from(Source::Pool(pool))
    }

    fn from(source: Source) -> Self {
        Self { source, opened: OnceCell::new(), retired: watch::Sender::new(None) }
    }

    /// The options of a new connection. A pool's options may change when passwords are rotated.
    pub fn options(&self) -> PgConnectOptions {
        match &self.source {
            Source::Options { options, .. } => PgConnectOptions::clone(options),
            Source::Pool(pool) => {
                PgConnectOptions::clone(&pool.connect_options()).extra_float_digits(None)
            }
        }
    }

    /// Whether the address is known to lead straight to Postgres.
    pub fn are_direct(&self) -> bool {
        self.opened.get().is_some_and(|opened| opened.direct.load(Ordering::Relaxed))
    }

    /// Changes whenever the open connections may lead to the wrong server.
    pub fn retirements(&self) -> watch::Receiver<Option<Instant>> {
        self.retired.subscribe()
    }

    /// Runs the statements in one transaction and returns the rows of the last one.
    ///
    /// They may run twice: after a lost connection it is unknown whether the server has executed
    /// them.
    pub async fn run<'q>(
        &self,
        statements: impl Fn() -> Vec<BoundQuery<'q>> + Send + Sync,
    ) -> Result<Ran, Error> {
        let mut attempts = Attempts::start()?;
        let (sent, mut repeated) = (AtomicBool::new(false), false);
        loop {
            let attempt = async {
                let opened = self.opened().await?;
                let mut connection = opened.connections.acquire(self.retired()).await?;
                sent.store(true, Ordering::Relaxed);
                let statements = statements();
                let direct = opened.direct.load(Ordering::Relaxed);
                let rows = if direct && statements.len() == 1 {
                    run_all(&mut connection, statements, true).await?
                } else {
                    in_transaction(&mut connection, statements).await?
                };
                connection.release();
                Ok(rows)
            };
            match attempts.within(attempt).await {
                Ok(rows) => return Ok(Ran { rows, repeated }),
                Err(error) => {
                    repeated |= sent.swap(false, Ordering::Relaxed) && fault::is_lost(&error);
                    self.recover(error, &mut attempts).await?;
                }
            }
        }
    }

    /// Migrates the tables to this version of the crate. Returns the version that was found.
    pub async fn migrate(&self, names: &Names) -> Result<i64, Error> {
        let mut attempts = Attempts::start()?;
        loop {
            let attempt = async {
                let opened = self.opened().await?;
                let mut connection = opened.connections.acquire(self.retired()).await?;
                let found = schema::migrate(&mut connection, names).await?;
                connection.release();
                Ok(found)
            };
            match attempts.within(attempt).await {
                Ok(found) => return Ok(found),
                Err(error) => self.recover(error, &mut attempts).await?,
            }
        }
    }

    /// Waits until the operation may be retried.
    ///
    /// # Errors
    /// Returns the error if a retry would not help or the time limit has passed.
    async fn recover(&self, error: Error, attempts: &mut Attempts) -> Result<(), Error> {
        let remedy = remedy(&error);
        if remedy == Remedy::NewConnections || attempts.timed_out() {
            self.retired.send_replace(Some(Instant::now()));
        }
        if remedy == Remedy::UnnamedStatements
            && let Some(opened) = self.opened.get()
        {
            opened.direct.store(false, Ordering::Relaxed);
        }
        if remedy == Remedy::None || attempts.are_over() {
            return Err(error);
        }
        // A caller's pool may hand out several outdated connections in a row.
        let pool_size = self.opened.get().map_or(0, |it| it.connections.max_connections());
        attempts.made += 1;
        sleep(if attempts.made <= pool_size { SHORT_PAUSE } else { PAUSE }).await;
        Ok(())
    }

    /// When connections were last found to lead to the wrong server.
    fn retired(&self) -> Option<Instant> {
        *self.retired.borrow()
    }

    async fn opened(&self) -> Result<&Opened, Error> {
        self.opened.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<Opened, Error> {
        let direct = pooler::route(&self.options()).await? == Route::Direct;
        let connections = match &self.source {
            Source::Pool(pool) => Open::Shared(pool.clone()),
            Source::Options { options, max_connections } => {
                let mut options = PgConnectOptions::clone(options);
                if direct {
                    // A pooler would reject this option; there each transaction sets the limit.
                    options = options.options([
                        ("statement_timeout", STATEMENT_TIMEOUT),
                        ("lock_timeout", LOCK_TIMEOUT),
                    ]);
                }
                Open::own(options, *max_connections)?
            }
        };
        Ok(Opened { connections, direct: AtomicBool::new(direct) })
    }
}

async fn run_all(
    connection: &mut PgConnection,
    statements: Vec<BoundQuery<'_>>,
    named: bool,
) -> Result<Vec<PgRow>, Error> {
    let mut rows = Vec::new();
    for statement in statements {
        rows = statement.persistent(named).fetch_all(&mut *connection).await?;
    }
    Ok(rows)
}

/// Behind a pooler, a server connection is exclusive only within a transaction, and a prepared
/// statement's name may be taken by another client.
async fn in_transaction(
    connection: &mut PgConnection,
    statements: Vec<BoundQuery<'_>>,
) -> Result<Vec<PgRow>, Error> {
    connection.clear_cached_statements().await?;
    let mut transaction = connection.begin_with(BEGIN).await?;
    let rows = run_all(&mut transaction, statements, false).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// The attempts of one operation.
struct Attempts {
    began: Instant,
    made: u32,
}

impl Attempts {
    /// # Errors
    /// Fails outside a Tokio runtime, where a pool would panic.
    fn start() -> Result<Self, Error> {
        match Handle::try_current() {
            Ok(_) => Ok(Self { began: Instant::now(), made: 0 }),
            Err(error) => Err(Error::Configuration(error.into())),
        }
    }

    async fn within<T>(&self, attempt: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let deadline = self.began + OPERATION_TIMEOUT;
        timeout_at(deadline, attempt).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    fn timed_out(&self) -> bool {
        self.began.elapsed() >= OPERATION_TIMEOUT
    }

    fn are_over(&self) -> bool {
        self.began.elapsed() >= RETRY_FOR
    }
}

//! The connection shared by all requests: opened on first use, and replaced when its server can no
//! longer serve.

use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, Pipeline, RedisFuture, RedisResult, ServerErrorKind, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use super::failure::Failure;
use super::scripts::Lua;
use super::source::Source;

/// How long a command is retried while the server is being replaced.
const FAILOVER: Duration = Duration::from_secs(2);

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How often a command is retried after its connection is lost.
#[derive(Clone, Copy, PartialEq)]
pub enum Effort {
    /// A read: one retry.
    Once,
    /// A write: retries until [`FAILOVER`] has passed.
    Persistent,
}

/// The reply to a command that may have been sent more than once.
pub struct Reply<T> {
    pub value: T,
    /// Whether an earlier attempt may have been executed without its reply arriving.
    pub repeated: bool,
}

pub struct Link {
    source: Source,
    current: RwLock<Option<(u64, Connection)>>,
    connecting: Mutex<()>,
    /// Number of dropped connections; the listener follows it.
    dropped: watch::Sender<u64>,
}

impl Link {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            current: RwLock::new(None),
            connecting: Mutex::new(()),
            dropped: watch::Sender::new(0),
        }
    }

    /// Changes whenever a connection is dropped.
    pub fn drops(&self) -> watch::Receiver<u64> {
        self.dropped.subscribe()
    }

    pub async fn query<T: FromRedisValue>(&self, command: &Cmd, effort: Effort) -> RedisResult<T> {
        let value = self.request(command, effort, &mut false).await?;
        Ok(T::from_redis_value(value)?)
    }

    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Lua,
        keys: &[String],
        arguments: &[&[u8]],
        effort: Effort,
    ) -> RedisResult<Reply<T>> {
        let mut repeated = false;
        let call = script.evalsha(keys, arguments);
        let value = match self.request(&call, effort, &mut repeated).await {
            // Also from a new primary, whose predecessor may have run the script.
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                self.request(&script.eval(keys, arguments), effort, &mut repeated).await?
            }
            value => value?,
        };
        Ok(Reply { value: T::from_redis_value(value)?, repeated })
    }

    /// Sends several reads at once and returns their replies.
    pub async fn read_all<T: FromRedisValue>(&self, reads: &Pipeline) -> RedisResult<Vec<T>> {
        let value = self.request(reads, Effort::Once, &mut false).await?;
        Ok(Vec::from_redis_value(value)?)
    }

    /// Sets `repeated` if an attempt without a reply may have been executed.
    async fn request<R: Request>(
        &self,
        request: &R,
        effort: Effort,
        repeated: &mut bool,
    ) -> RedisResult<Value> {
        let started = Instant::now();
        let (mut pause, mut lost) = (FIRST_PAUSE, 0);
        loop {
            let (error, sent) = match self.connection().await {
                Ok((number, mut connection)) => match request.send(&mut connection).await {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        if Failure::classify(&error) != Failure::Other {
                            self.drop_connection(number);
                        }
                        (error, true)
                    }
                },
                Err(error) => (error, false),
            };
            let again = match Failure::classify(&error) {
                Failure::Other | Failure::Timeout => false,
                Failure::WrongServer => true,
                Failure::Lost => {
                    lost += 1;
                    *repeated |= sent;
                    effort == Effort::Persistent || lost == 1
                }
            };
            if !again || started.elapsed() + pause > FAILOVER {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let _turn = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let number = *self.dropped.borrow();
        let connection = self.source.connect().await?;
        let current = (number, connection);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }

    fn current(&self) -> Option<(u64, Connection)> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops this connection unless it has already been replaced.
    fn drop_connection(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.take_if(|(it, _)| *it == number).is_some() {
            self.dropped.send_modify(|dropped| *dropped += 1);
        }
    }
}

/// What is sent and, if the connection is lost, sent again.
trait Request: Sync {
    fn send(&self, connection: &mut Connection) -> impl Future<Output = RedisResult<Value>> + Send;
}

impl Request for Cmd {
    async fn send(&self, connection: &mut Connection) -> RedisResult<Value> {
        self.query_async(connection).await
    }
}

impl Request for Pipeline {
    async fn send(&self, connection: &mut Connection) -> RedisResult<Value> {
        self.query_async(connection).await
    }
}

/// Any kind of connection, shared by its clones.
pub struct Connection(Box<dyn Shared>);

trait Shared: ConnectionLike + Send + Sync {
    fn share(&self) -> Box<dyn Shared>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Shared for C {
    fn share(&self) -> Box<dyn Shared> {
        Box::new(self.clone())
    }
}

impl Connection {
    pub fn new(connection: impl ConnectionLike + Clone + Send + Sync + 'static) -> Self {
        Self(Box::new(connection))
    }
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        Self(self.0.share())
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

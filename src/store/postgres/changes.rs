//! Change notifications with `NOTIFY` and `LISTEN`.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{Connection, Error, Executor, Row};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connections::Connections;
use super::pooler::{self, Route};
use crate::identity::subject::Subject;
use crate::store::{Invalidator, with_causes};
use crate::util::log;

/// Payload that invalidates every subject. A base64 subject never equals it.
pub const EVERYTHING: &str = "*";

/// Payload of a health check; receivers ignore it.
pub const PROBE: &str = "?";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Log the first failure in a row, and then one about every five minutes.
const LOG_EVERY: u32 = 30;

/// After this time without a notification the listener checks that its server is alive and still
/// the primary.
const CHECK_AFTER: Duration = Duration::from_secs(15);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether changes by other instances are received.
#[derive(Debug, Clone, Default)]
pub enum Listening {
    /// Not requested, or not yet known.
    #[default]
    Unknown,
    Yes,
    /// The address leads to a pooler.
    Pooled,
    /// With the error message.
    Failing(String),
}

/// Why listening ended.
enum End {
    Pooler,
    ConnectionLost,
    WrongServer,
}

/// Encodes the subject: a payload cannot contain NUL, but a subject can.
pub fn payload(subject: &Subject) -> String {
    URL_SAFE_NO_PAD.encode(subject.as_str())
}

fn subject(payload: &str) -> Option<Subject> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Subject::from_str(&key).ok()
}

/// Where to connect, and what to listen for.
pub struct Listener<'a> {
    pub connections: &'a Connections,
    /// The configured [`listen_url`](super::PostgresStoreBuilder::listen_url), assumed to lead to a
    /// session.
    pub elsewhere: Option<&'a PgConnectOptions>,
    pub channel: String,
    pub status: &'a watch::Sender<Listening>,
}

impl Listener<'_> {
    /// Listens on its own connection until dropped. Every reconnect invalidates the whole cache.
    /// Returns if the address leads to a pooler.
    pub async fn watch(&self, changes: &Invalidator) {
        let (mut pause, mut failures) = (FIRST_PAUSE, 0_u32);
        loop {
            let began = Instant::now();
            let error = match self.listen(changes).await {
                Ok(End::Pooler) => return self.give_up(),
                Ok(End::ConnectionLost) => "the connection was lost".to_owned(),
                Ok(End::WrongServer) => "the server is no longer the primary".to_owned(),
                Err(error) => with_causes(&error),
            };
            changes.all();
            if began.elapsed() > LONGEST_PAUSE {
                (pause, failures) = (FIRST_PAUSE, 0);
            }
            if failures.is_multiple_of(LOG_EVERY) {
                tracing::warn!(
                    target: log::STORE,
                    error,
                    failures,
                    "not receiving changes by other instances from Postgres; they become visible \
                     when cache entries expire"
                );
            }
            failures += 1;
            self.status.send_replace(Listening::Failing(error));
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn give_up(&self) {
        tracing::warn!(
            target: log::STORE,
            "Postgres is behind a pooler that does not support LISTEN: changes by other instances \
             become visible when cache entries expire; to receive them immediately, set \
             PostgresStoreBuilder::listen_url to a direct address"
        );
        self.status.send_replace(Listening::Pooled);
    }

    async fn listen(&self, changes: &Invalidator) -> Result<End, Error> {
        let mut retirements = self.connections.retirements();
        let Some(mut listener) =
            timeout(CHECK_TIMEOUT, self.connect()).await.unwrap_or(Err(Error::PoolTimedOut))?
        else {
            return Ok(End::Pooler);
        };
        self.status.send_replace(Listening::Yes);
        changes.all();
        loop {
            let received = tokio::select! {
                received = timeout(CHECK_AFTER, listener.try_recv()) => received,
                Ok(()) = retirements.changed() => return Ok(End::WrongServer),
            };
            match received {
                Ok(Ok(Some(notification))) => match notification.payload() {
                    PROBE => {}
                    payload => match subject(payload) {
                        Some(subject) => changes.subject(&subject),
                        None => changes.all(),
                    },
                },
                Ok(Ok(None)) => return Ok(End::ConnectionLost),
                Ok(Err(error)) => return Err(error),
                Err(_) if is_standby(&mut listener).await? => return Ok(End::WrongServer),
                Err(_) => {}
            }
        }
    }

    /// Connects, unless the address leads to a pooler: its `LISTEN` would stay on a server
    /// connection that other clients use.
    async fn connect(&self) -> Result<Option<PgListener>, Error> {
        let options = match self.elsewhere {
            Some(options) => options.clone(),
            None => self.connections.options(),
        };
        if self.elsewhere.is_none()
            && !self.connections.are_direct()
            && pooler::route(&options).await? == Route::Pooled
        {
            return Ok(None);
        }
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options.clone());
        let mut listener = match PgListener::connect_with(&pool).await {
            // A pool does not report why it could not connect.
            Err(Error::PoolTimedOut) => {
                PgConnection::connect_with(&options).await?.close().await?;
                return Err(Error::PoolTimedOut);
            }
            connected => connected?,
        };
        listener.eager_reconnect(false);
        listener.listen(&self.channel).await?;
        Ok(Some(listener))
    }
}

async fn is_standby(listener: &mut PgListener) -> Result<bool, Error> {
    let query = sqlx::raw_sql("SELECT pg_is_in_recovery()");
    let answer = timeout(CHECK_TIMEOUT, listener.fetch_one(query)).await;
    answer.unwrap_or(Err(Error::PoolTimedOut))?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_passes_through_a_payload() {
        let odd = Subject::user("a\0b*%'\u{e9}");
        assert_eq!(subject(&payload(&odd)), Some(odd));
        assert_eq!(subject(EVERYTHING), None);
        assert_eq!(subject(PROBE), None);
    }
}

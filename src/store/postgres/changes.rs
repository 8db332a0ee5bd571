//! Changes, announced by `NOTIFY` and received by `LISTEN`.

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
use crate::store::{ChangeSink, with_causes};
use crate::util::log;

/// The payload that says that anything may have changed; no base64 of a subject is this.
pub const EVERYTHING: &str = "*";

/// The payload of a health check, which changes nothing.
pub const PROBE: &str = "?";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Which failures in a row are logged: the first, and then one about every five minutes.
const LOG_EVERY: u32 = 30;

/// A listener that has received nothing for so long asks whether its server is still there, and
/// still the primary.
const CHECK_AFTER: Duration = Duration::from_secs(15);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether changes that other instances make are received.
#[derive(Debug, Clone, Default)]
pub enum Listening {
    /// Nobody has asked for them, or it is too early to tell.
    #[default]
    Unknown,
    Yes,
    /// The address leads to a pooler.
    Pooled,
    /// With the error.
    Failing(String),
}

/// Why listening has ended.
enum End {
    Pooler,
    ConnectionLost,
    WrongServer,
}

/// A payload is text without NUL, which a subject need not be.
pub fn payload(subject: &Subject) -> String {
    URL_SAFE_NO_PAD.encode(subject.as_str())
}

fn subject(payload: &str) -> Option<Subject> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Subject::from_str(&key).ok()
}

/// Where a listener connects, and what it listens to.
pub struct Listener<'a> {
    pub connections: &'a Connections,
    /// An address that the application has named for this; trusted to lead to a session.
    pub elsewhere: Option<&'a PgConnectOptions>,
    pub channel: String,
    pub status: &'a watch::Sender<Listening>,
}

impl Listener<'_> {
    /// Listens until it is dropped, on a connection of its own. Whenever that was away, anything
    /// may have changed. Returns if the address leads to a pooler.
    pub async fn watch(&self, changes: &ChangeSink) {
        let (mut pause, mut failures) = (FIRST_PAUSE, 0_u32);
        loop {
            let began = Instant::now();
            let error = match self.listen(changes).await {
                Ok(End::Pooler) => return self.give_up(),
                Ok(End::ConnectionLost) => "the connection was lost".to_owned(),
                Ok(End::WrongServer) => "the server is no longer the primary".to_owned(),
                Err(error) => with_causes(&error),
            };
            changes.everything();
            if began.elapsed() > LONGEST_PAUSE {
                (pause, failures) = (FIRST_PAUSE, 0);
            }
            if failures.is_multiple_of(LOG_EVERY) {
                tracing::warn!(
                    target: log::STORE,
                    error,
                    failures,
                    "changes by other instances are not received from Postgres: they are noticed \
                     when the cache's time is over"
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
            "Postgres is reached through a pooler, which keeps no LISTEN: changes by other \
             instances are noticed when the cache's time is over, or at once with a direct address \
             in PostgresStoreBuilder::listen_url"
        );
        self.status.send_replace(Listening::Pooled);
    }

    async fn listen(&self, changes: &ChangeSink) -> Result<End, Error> {
        let mut retirements = self.connections.retirements();
        let Some(mut listener) =
            timeout(CHECK_TIMEOUT, self.connect()).await.unwrap_or(Err(Error::PoolTimedOut))?
        else {
            return Ok(End::Pooler);
        };
        self.status.send_replace(Listening::Yes);
        changes.everything();
        loop {
            let received = tokio::select! {
                received = timeout(CHECK_AFTER, listener.try_recv()) => received,
                Ok(()) = retirements.changed() => return Ok(End::WrongServer),
            };
            match received {
                Ok(Ok(Some(notification))) => match notification.payload() {
                    PROBE => {}
                    payload => match subject(payload) {
                        Some(subject) => changes.changed(&subject),
                        None => changes.everything(),
                    },
                },
                Ok(Ok(None)) => return Ok(End::ConnectionLost),
                Ok(Err(error)) => return Err(error),
                Err(_) if is_standby(&mut listener).await? => return Ok(End::WrongServer),
                Err(_) => {}
            }
        }
    }

    /// Connects, unless the address leads to a pooler: a `LISTEN` would stay behind on a server
    /// connection that others use.
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
            // A pool does not say why it could not connect.
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

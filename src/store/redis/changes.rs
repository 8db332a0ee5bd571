//! Changes, published and received by pub/sub.

use std::str::FromStr;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink};
use redis::{Client, Msg, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::keys::{decode, encode};
use super::source::CONNECT_TIMEOUT;
use super::tls;
use crate::identity::subject::Subject;
use crate::store::ChangeSink;
use crate::util::log;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the server has to show that it is there.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(2);

/// Which failures to subscribe are logged: the first, and then one in five minutes.
const LOGGED: u32 = 30;

/// The message of a health check, which changes nothing.
pub const PROBE: &[u8] = b"!";

pub fn payload(subject: &Subject) -> String {
    encode(subject.as_str())
}

enum Change {
    Subject(Subject),
    Anything,
    Nothing,
}

impl Change {
    fn of(payload: &[u8]) -> Self {
        if payload == PROBE {
            return Self::Nothing;
        }
        let subject = decode(payload).and_then(|key| Subject::from_str(&key).ok());
        subject.map_or(Self::Anything, Self::Subject)
    }
}

/// Subscribes within the time for a connection.
pub async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    if tls::is_used_by(client) {
        tls::provide_crypto();
    }
    let subscribing = async {
        let mut listener = client.get_async_pubsub().await?;
        listener.subscribe(channel).await?;
        Ok(listener)
    };
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(CONNECT_TIMEOUT, subscribing).await.unwrap_or_else(|_| Err(late.into()))
}

/// Listens at one of these servers until it is dropped. Whenever it was not connected, anything
/// may have changed.
pub async fn listen(
    clients: &[Client],
    channel: &str,
    mut drops: watch::Receiver<u64>,
    changes: &ChangeSink,
) {
    if clients.is_empty() {
        tracing::info!(
            target: log::STORE,
            "changes of other instances are noticed when cache entries expire: the Redis store \
             has no listen_url"
        );
    }
    let (mut pause, mut failures) = (FIRST_PAUSE, 0_u32);
    for client in clients.iter().cycle() {
        drops.mark_unchanged();
        match subscribe(client, channel).await {
            Ok(listener) => {
                (pause, failures) = (FIRST_PAUSE, 0);
                changes.everything();
                receive(listener, &mut drops, changes).await;
                changes.everything();
                tracing::warn!(target: log::STORE, "lost the Redis connection that receives changes; reconnecting");
            }
            Err(error) => {
                if failures % LOGGED == 0 {
                    tracing::warn!(
                        target: log::STORE,
                        %error,
                        channel,
                        failures = failures.saturating_add(1),
                        "cannot subscribe to changes of other instances"
                    );
                }
                failures = failures.saturating_add(1);
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns when the connection is lost, or the store has left the server for another one.
async fn receive(listener: PubSub, drops: &mut watch::Receiver<u64>, changes: &ChangeSink) {
    let (mut sink, mut messages) = listener.split();
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => apply(&message, changes),
                None => return,
            },
            _ = drops.changed() => return,
            _ = ping.tick() => if !is_alive(&mut sink).await { return },
        }
    }
}

/// A server that disappears without closing the connection would be listened to for hours.
async fn is_alive(sink: &mut PubSubSink) -> bool {
    match timeout(PONG, sink.ping::<Value>()).await {
        Err(_) => false,
        // A user without the right to PING is answered all the same.
        Ok(reply) => reply.map_or_else(|error| !error.is_io_error(), |_| true),
    }
}

fn apply(message: &Msg, changes: &ChangeSink) {
    match Change::of(message.get_payload_bytes()) {
        Change::Subject(subject) => changes.changed(&subject),
        Change::Anything => changes.everything(),
        Change::Nothing => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_passes_through_a_payload() {
        let odd = Subject::user("a\0b*%'\u{e9}");
        assert!(
            matches!(Change::of(payload(&odd).as_bytes()), Change::Subject(subject) if subject == odd)
        );
        assert!(matches!(Change::of(b"*"), Change::Anything));
        assert!(matches!(Change::of(PROBE), Change::Nothing));
    }
}

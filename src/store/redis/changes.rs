//! Change notifications with pub/sub.

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
use crate::store::Invalidator;
use crate::util::log;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the listener pings its server.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(2);

/// Log the first failure to subscribe, and then one about every five minutes.
const LOGGED: u32 = 30;

/// Message of a health check; receivers ignore it.
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
    fn parse(payload: &[u8]) -> Self {
        if payload == PROBE {
            return Self::Nothing;
        }
        let subject = decode(payload).and_then(|key| Subject::from_str(&key).ok());
        subject.map_or(Self::Anything, Self::Subject)
    }
}

/// Subscribes within the connection timeout.
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

/// Listens to one of these servers until dropped. Every reconnect invalidates the whole cache.
pub async fn listen(
    clients: &[Client],
    channel: &str,
    mut drops: watch::Receiver<u64>,
    changes: &Invalidator,
) {
    if clients.is_empty() {
        tracing::info!(
            target: log::STORE,
            "changes by other instances become visible when cache entries expire: the Redis store \
             has no listen_url"
        );
    }
    let (mut pause, mut failures) = (FIRST_PAUSE, 0_u32);
    for client in clients.iter().cycle() {
        drops.mark_unchanged();
        match subscribe(client, channel).await {
            Ok(listener) => {
                (pause, failures) = (FIRST_PAUSE, 0);
                changes.all();
                receive(listener, &mut drops, changes).await;
                changes.all();
                tracing::warn!(target: log::STORE, "lost the Redis connection that receives changes; reconnecting");
            }
            Err(error) => {
                if failures % LOGGED == 0 {
                    tracing::warn!(
                        target: log::STORE,
                        %error,
                        channel,
                        failures = failures.saturating_add(1),
                        "cannot subscribe to changes by other instances"
                    );
                }
                failures = failures.saturating_add(1);
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns when the connection is lost or the store has switched to another server.
async fn receive(listener: PubSub, drops: &mut watch::Receiver<u64>, changes: &Invalidator) {
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

/// Without a ping, a server that vanished without closing the connection would go unnoticed for
/// hours.
async fn is_alive(sink: &mut PubSubSink) -> bool {
    match timeout(PONG, sink.ping::<Value>()).await {
        Err(_) => false,
        // A user without permission to PING still gets a reply.
        Ok(reply) => reply.map_or_else(|error| !error.is_io_error(), |_| true),
    }
}

fn apply(message: &Msg, changes: &Invalidator) {
    match Change::parse(message.get_payload_bytes()) {
        Change::Subject(subject) => changes.subject(&subject),
        Change::Anything => changes.all(),
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
            matches!(Change::parse(payload(&odd).as_bytes()), Change::Subject(subject) if subject == odd)
        );
        assert!(matches!(Change::parse(b"*"), Change::Anything));
        assert!(matches!(Change::parse(PROBE), Change::Nothing));
    }
}

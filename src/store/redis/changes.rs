//! Changes, announced and heard by pub/sub.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use redis::{Client, Msg, RedisResult};
use tokio::time::sleep;

use super::keys::encode;
use crate::identity::subject::Subject;
use crate::store::ChangeSink;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) fn payload(subject: &Subject) -> String {
    encode(subject.as_str())
}

fn subject(message: &Msg) -> Option<Subject> {
    let key = URL_SAFE_NO_PAD.decode(message.get_payload_bytes()).ok()?;
    Subject::from_str(std::str::from_utf8(&key).ok()?).ok()
}

/// Listens until it is dropped. Whenever the connection was away, anything may have changed.
pub(super) async fn watch(client: &Client, channel: String, changes: &ChangeSink) {
    let mut pause = FIRST_PAUSE;
    loop {
        if listen(client, &channel, changes).await.is_ok() {
            pause = FIRST_PAUSE;
            changes.everything();
            tracing::warn!("the connection that listens for changes was lost: connecting again");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn listen(client: &Client, channel: &str, changes: &ChangeSink) -> RedisResult<()> {
    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe(channel).await?;
    changes.everything();
    let mut messages = listener.into_on_message();
    while let Some(message) = messages.next().await {
        match subject(&message) {
            Some(subject) => changes.changed(&subject),
            None => changes.everything(),
        }
    }
    Ok(())
}

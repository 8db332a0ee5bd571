//! Changes, announced by `NOTIFY` and heard by `LISTEN`.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::{PgListener, PgPool};
use tokio::time::sleep;

use crate::identity::subject::Subject;
use crate::store::ChangeSink;

/// The payload that says that anything may have changed; no base64 of a subject's.
pub(super) const EVERYTHING: &str = "*";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A payload is text without NUL, which a subject need not be.
pub(super) fn payload(subject: &Subject) -> String {
    URL_SAFE_NO_PAD.encode(subject.as_str())
}

fn subject(payload: &str) -> Option<Subject> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Subject::from_str(&key).ok()
}

/// Listens until it is dropped. Whenever the connection was away, anything may have changed.
pub(super) async fn watch(pool: &PgPool, channel: String, changes: &ChangeSink) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(mut listener) = PgListener::connect_with(pool).await
            && listener.listen(&channel).await.is_ok()
        {
            changes.everything();
            pause = FIRST_PAUSE;
            while let Ok(Some(news)) = listener.try_recv().await {
                match subject(news.payload()) {
                    Some(subject) => changes.changed(&subject),
                    None => changes.everything(),
                }
            }
            changes.everything();
            tracing::warn!("the connection that listens for changes was lost: connecting again");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_passes_through_a_payload() {
        let odd = Subject::user("a\0b*%'\u{e9}");
        assert_eq!(subject(&payload(&odd)), Some(odd));
        assert_eq!(subject(EVERYTHING), None);
    }
}

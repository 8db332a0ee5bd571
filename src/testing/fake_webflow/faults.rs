//! What can be made to go wrong, and where.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// An endpoint of the stand-in, to say where a [`Fault`] strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/oauth/authorize`: the consent page and the form on it.
    Authorize,
    /// `POST /oauth/access_token`.
    Token,
    /// `POST /oauth/revoke_authorization`.
    Revoke,
    /// `GET /v2/token/introspect`.
    Introspect,
    /// `GET /v2/token/authorized_by`.
    AuthorizedBy,
    /// `GET /v2/sites`.
    Sites,
    /// `GET /v2/sites/{site_id}/collections`.
    Collections,
    /// `/v2/collections/{collection_id}/items`: the list and the write.
    Items,
    /// `POST /beta/token/resolve`.
    Resolve,
    /// `/v2/sites/{site_id}/webhooks`: the list and the creation.
    #[cfg(feature = "webhooks")]
    Webhooks,
    /// `DELETE /v2/webhooks/{webhook_id}`.
    #[cfg(feature = "webhooks")]
    Webhook,
}

impl Endpoint {
    /// The endpoint that a path belongs to, whatever the method.
    pub(super) fn of(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["oauth", "authorize"] => Self::Authorize,
            ["oauth", "access_token"] => Self::Token,
            ["oauth", "revoke_authorization"] => Self::Revoke,
            ["v2", "token", "introspect"] => Self::Introspect,
            ["v2", "token", "authorized_by"] => Self::AuthorizedBy,
            ["v2", "sites"] => Self::Sites,
            ["v2", "sites", _, "collections"] => Self::Collections,
            ["v2", "collections", _, "items"] => Self::Items,
            ["beta", "token", "resolve"] => Self::Resolve,
            #[cfg(feature = "webhooks")]
            ["v2", "sites", _, "webhooks"] => Self::Webhooks,
            #[cfg(feature = "webhooks")]
            ["v2", "webhooks", _] => Self::Webhook,
            _ => return None,
        })
    }
}

/// One thing that goes wrong with a request.
///
/// A fault strikes *before* the endpoint does anything: the code is not used up, no token is
/// issued or revoked, nothing is written. [`after_effect`](Self::after_effect) is the other
/// case, where Webflow did its work and only the answer was lost.
///
/// ```
/// # #[tokio::main] async fn main() {
/// use std::time::Duration;
/// use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault};
///
/// let webflow = FakeWebflow::start().await;
/// webflow.fail_next(Endpoint::Token, Fault::Status(502));
/// webflow.fail_next(Endpoint::Token, Fault::Reset.after_effect());
/// webflow.fail_always(Endpoint::Sites, Fault::Delay(Duration::from_secs(1)));
/// webflow.heal();
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The right answer, late.
    Delay(Duration),
    /// No answer; the connection stays open until the client leaves or the server is dropped.
    Hang,
    /// This status with a line of text, as a gateway answers. What is not a final HTTP status
    /// (200 to 599) becomes 500.
    Status(u16),
    /// This status, these headers and this body.
    StatusWith {
        /// The status; what is not a final HTTP status (200 to 599) becomes 500.
        status: u16,
        /// All headers apart from those of the transfer.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// 200 with this body instead of the right one.
    Body {
        /// The `Content-Type`; left out when it cannot be a header's value.
        content_type: String,
        /// The body.
        bytes: Bytes,
    },
    /// A 200 whose body ends in the middle, with the connection closed before `Content-Length` is
    /// reached. After the effect it is the right answer that is cut.
    Truncated,
    /// A 200 with a body of so many bytes of white space, sent in chunks and without
    /// `Content-Length`.
    Huge(u64),
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// 307 to this address; a client that follows it sends its request, secrets and all, there.
    Redirect(String),
    /// 429 `too_many_requests` with `Retry-After` in whole seconds.
    RateLimited {
        /// When the client may come again; rounded up to a second.
        retry_after: Duration,
    },
    /// Another fault, but after the endpoint did its work; see [`after_effect`](Self::after_effect).
    AfterEffect(Box<Self>),
}

impl Fault {
    /// The same fault, but only the answer is hit: the code is used up and the token issued, the
    /// grant revoked, the item written.
    #[must_use]
    pub fn after_effect(self) -> Self {
        match self {
            Self::AfterEffect(_) => self,
            fault => Self::AfterEffect(Box::new(fault)),
        }
    }

    /// [`Fault::Body`] from anything that can be a body.
    pub fn body(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::Body { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// [`Fault::StatusWith`] with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let mut headers = HeaderMap::new();
        headers
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        Self::StatusWith { status, headers, body: body.to_string().into() }
    }
}

/// The faults that wait for requests.
#[derive(Default)]
pub struct Faults {
    next: HashMap<Endpoint, VecDeque<Fault>>,
    always: HashMap<Endpoint, Fault>,
    answers: HashMap<(Method, String), Fault>,
}

impl Faults {
    pub fn push(&mut self, endpoint: Endpoint, times: usize, fault: &Fault) {
        let queue = self.next.entry(endpoint).or_default();
        queue.extend(std::iter::repeat_n(fault, times).cloned());
    }

    pub fn set(&mut self, endpoint: Endpoint, fault: Fault) {
        self.always.insert(endpoint, fault);
    }

    pub fn answer(&mut self, method: Method, path: String, answer: Fault) {
        self.answers.insert((method, path), answer);
    }

    /// The answer that is set for a method and path.
    pub fn answer_to(&self, method: &Method, path: &str) -> Option<Fault> {
        self.answers.get(&(method.clone(), path.to_owned())).cloned()
    }

    /// The fault for the next request: the queue first, then the lasting one.
    pub fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.next
            .get_mut(&endpoint)
            .and_then(VecDeque::pop_front)
            .or_else(|| self.always.get(&endpoint).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_faults_come_first_and_lasting_ones_stay() {
        let mut faults = Faults::default();
        faults.set(Endpoint::Token, Fault::Hang);
        faults.push(Endpoint::Token, 2, &Fault::Reset);
        let mut take = || faults.take(Endpoint::Token);
        assert!(matches!(take(), Some(Fault::Reset)));
        assert!(matches!(take(), Some(Fault::Reset)));
        assert!(matches!(take(), Some(Fault::Hang)));
        assert!(matches!(take(), Some(Fault::Hang)));
        assert!(faults.take(Endpoint::Sites).is_none());
    }
}

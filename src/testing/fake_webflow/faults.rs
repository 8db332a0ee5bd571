//! Faults that tests can inject.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// An endpoint of the fake Webflow, where a [`Fault`] is injected.
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
    /// The endpoint of a path, with any method.
    pub(super) fn for_path(segments: &[&str]) -> Option<Self> {
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

/// A fault injected into a request.
///
/// A fault acts *before* the endpoint does anything: the code stays unused, no token is issued or
/// revoked, and nothing is written. [`after_effect`](Self::after_effect) is the other case, in
/// which Webflow did its work and only the response was lost.
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
    /// The correct response, delayed.
    Delay(Duration),
    /// No response. The connection stays open until the client disconnects or the server stops.
    Hang,
    /// This status with a line of text, like a gateway's. A value that is not a final HTTP status
    /// (200 to 599) becomes 500.
    Status(u16),
    /// This status with these headers and this body.
    StatusWith {
        /// The status. A value that is not a final HTTP status (200 to 599) becomes 500.
        status: u16,
        /// All headers except those of the transfer.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// A 200 with this body instead of the correct one.
    Body {
        /// The `Content-Type`, omitted if it is not a valid header value.
        content_type: String,
        /// The body.
        bytes: Bytes,
    },
    /// A 200 that closes the connection before `Content-Length` is reached. With `after_effect`, it
    /// is the correct response that is cut off.
    Truncated,
    /// A 200 with this many bytes of white space, chunked and without `Content-Length`.
    Huge(u64),
    /// Resets the connection (TCP RST) without a response.
    Reset,
    /// A 307 to this URL. A client that follows it forwards its request, including secrets.
    Redirect(String),
    /// 429 `too_many_requests` with `Retry-After` in whole seconds.
    RateLimited {
        /// When the client may retry, rounded up to whole seconds.
        retry_after: Duration,
    },
    /// Another fault, injected after the endpoint did its work; see
    /// [`after_effect`](Self::after_effect).
    AfterEffect(Box<Self>),
}

impl Fault {
    /// Returns the same fault, applied only to the response: the code is used and the token issued,
    /// the grant revoked, the item written.
    #[must_use]
    pub fn after_effect(self) -> Self {
        match self {
            Self::AfterEffect(_) => self,
            fault => Self::AfterEffect(Box::new(fault)),
        }
    }

    /// Creates a [`Fault::Body`].
    pub fn body(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::Body { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// Creates a [`Fault::StatusWith`] with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let mut headers = HeaderMap::new();
        headers
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        Self::StatusWith { status, headers, body: body.to_string().into() }
    }
}

/// Faults waiting for requests.
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

    /// The response set for a method and path.
    pub fn answer_to(&self, method: &Method, path: &str) -> Option<Fault> {
        self.answers.get(&(method.clone(), path.to_owned())).cloned()
    }

    /// Takes the fault for the next request: the queue first, then the permanent one.
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

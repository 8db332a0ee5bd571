//! HTTP clients, and requests on connections that the server may have closed.

use std::error::Error;
use std::io::{self, ErrorKind};

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use url::Url;

use super::endpoints::is_loopback;

/// The settings of every client that calls `to`. Redirects are not followed, since they would carry
/// the client secret or the token along. Only https to other machines uses a proxy from the
/// environment: on plain http a proxy could read the client secret, and it cannot reach loopback.
pub fn client_builder(to: &Url) -> ClientBuilder {
    if may_use_proxy(to) { following_nothing() } else { direct_client_builder() }
}

/// The settings of a client for loopback.
pub fn direct_client_builder() -> ClientBuilder {
    following_nothing().no_proxy()
}

fn following_nothing() -> ClientBuilder {
    Client::builder().redirect(Policy::none())
}

pub fn may_use_proxy(to: &Url) -> bool {
    to.scheme() == "https" && !is_loopback(to)
}

/// Sends a request that is safe to repeat, and sends it once more if the connection closed before a
/// response. A server may close an idle connection while the client reuses it (RFC 9112 section
/// 9.3.1). reqwest does not tell whether a connection was reused, so this covers new ones as well.
pub async fn send_twice(request: RequestBuilder) -> reqwest::Result<Response> {
    let again = request.try_clone();
    match (request.send().await, again) {
        (Err(error), Some(again)) if closed_unanswered(&error) => again.send().await,
        (sent, _) => sent,
    }
}

/// Whether the connection closed before the head of a response.
pub fn closed_unanswered(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() || !error.is_request() {
        return false;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    // TLS without close_notify.
                    | ErrorKind::UnexpectedEof
            );
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e14_only_remote_https_uses_a_proxy() {
        for (to, expected) in [
            ("https://api.webflow.com", true),
            ("https://127.0.0.1:1", false),
            ("https://localhost", false),
            ("https://app.localhost", false),
            ("http://[::1]:1", false),
            ("http://app.example.com", false),
        ] {
            assert_eq!(may_use_proxy(&Url::parse(to).unwrap()), expected, "{to}");
        }
    }
}

//! Webflow's authorization server: code exchange, introspection and revocation.

mod application;
mod authorize;
mod call;
mod client;
mod endpoints;
mod exchange;
mod id;
mod introspect;
mod lookup;
pub mod probe;
mod revoke;

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

pub use application::ApplicationId;
pub use authorize::AuthorizeLinks;
pub use call::{CallError, retry_after};
#[cfg(feature = "testing")]
pub use client::direct_client_builder;
pub use client::{client_builder, closed_unanswered, may_use_proxy, send_twice};
pub use endpoints::Endpoints;
pub use endpoints::is_https_or_loopback;
pub use exchange::{ExchangeError, Issued};
#[cfg(any(feature = "webhooks", feature = "panels"))]
pub use id::is_plain_id;
pub use id::{is_id, is_usable_id};
pub use introspect::{Introspection, introspect};
pub use lookup::{LOOKUP_BUDGET, SiteIds, TokenLookupError};

/// Parses one response with all three calls. Returns the issued token, whether introspection and
/// revocation accept it, and everything that may reach a log.
#[cfg(feature = "_fuzzing")]
pub fn read_answer(
    status: http::StatusCode,
    body: &[u8],
) -> (Option<Issued>, bool, bool, Vec<String>) {
    let reply = call::Reply::new(status, http::HeaderMap::new(), body);
    let issued = Issued::from_reply(&reply);
    let known = Introspection::from_reply(&reply);
    let revoked = revoke::outcome(&reply);
    let mut logged = Vec::new();
    for error in [
        issued.as_ref().err().map(|e| format!("{e} {e:?}")),
        known.as_ref().err().map(|e| format!("{e} {e:?}")),
        revoked.as_ref().err().map(|e| format!("{e} {e:?}")),
    ] {
        logged.extend(error);
    }
    (issued.ok(), known.is_ok(), revoked.is_ok(), logged)
}

/// The application's registration at Webflow, and how to reach it.
pub struct WebflowClient {
    pub http: reqwest::Client,
    pub endpoints: Endpoints,
    pub authorize: AuthorizeLinks,
    pub client_id: String,
    pub client_secret: SecretString,
    /// Exactly the string in the authorization request.
    pub redirect_uri: String,
    /// Time limit of one call, connecting included.
    pub budget: Duration,
}

impl fmt::Debug for WebflowClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebflowClient")
            .field("endpoints", &self.endpoints)
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

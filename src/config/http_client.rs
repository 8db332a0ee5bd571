//! The HTTP client for calls to Webflow, where the application sets none.

use std::time::Duration;

use super::ConfigProblem;
use crate::webflow::Endpoints;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections kept per Webflow host. Without a limit, a burst of sign-ins would leave one
/// open per callback.
const MAX_IDLE_CONNECTIONS: usize = 32;

/// Creates the client. It requires https unless the endpoints are on loopback.
pub fn client(endpoints: &Endpoints) -> Result<reqwest::Client, ConfigProblem> {
    let https = endpoints.token().scheme() == "https";
    if https && cfg!(not(any(feature = "rustls", feature = "native-tls"))) {
        return Err(ConfigProblem::Missing {
            setting: "http_client",
            remedy: "without the features rustls and native-tls, set a client that supports https",
        });
    }
    crate::webflow::client_builder(endpoints.token())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .https_only(https)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ConfigProblem::Invalid {
            setting: "http_client",
            problem: format!("cannot be created ({error})"),
            remedy: "check the system's TLS certificates, or set your own client",
        })
}

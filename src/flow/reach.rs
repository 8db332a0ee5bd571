//! Whether a request to one of the crate's own paths reaches the layer.
//!
//! The doctor reports it. In debug builds, the first flow of an application on loopback checks it too:
//! a layer that does not see its callback cannot complete a login, and nothing else would say so.

use std::sync::atomic::Ordering;

use http::header::ACCEPT;
use tokio::runtime::Handle;
use url::Url;

use crate::context::Context;
use crate::util::log;
use crate::webflow::probe::{ProbeError, ProbeResponse, send};
use crate::webflow::{client_builder, may_use_proxy};

/// What to do about a request that ends elsewhere.
pub struct Astray {
    pub finding: String,
    pub remedy: &'static str,
}

const MOUNT: &str = "add the layer to the outermost router with `.layer`, not `.route_layer`, or mount the endpoints: \
     .route_service(auth.callback_path(), auth.endpoints_service()) for each path, or \
     .nest_service with the prefix that they share";

/// A client for the application's own address. Webflow's client may require https, which an
/// application on loopback does not serve.
pub fn client(context: &Context) -> reqwest::Result<reqwest::Client> {
    let webflow = &context.webflow;
    match Url::parse(&context.origin) {
        Ok(origin) if origin.scheme() == "http" => client_builder(&origin).build(),
        // If only one of the two is reached through a proxy, the application's client cannot be
        // used.
        Ok(origin) if may_use_proxy(&origin) != may_use_proxy(webflow.endpoints.token()) => {
            client_builder(&origin).build()
        }
        _ => Ok(webflow.http.clone()),
    }
}

/// Requests a path in a way that has no effect: the layer rejects it with a problem of its own, the
/// callback and login paths as a prefetch, the logout path for its method.
pub async fn ask(
    context: &Context,
    client: &reqwest::Client,
    path: &str,
) -> Result<ProbeResponse, ProbeError> {
    send(request(context, client, path), context.webflow.budget).await
}

fn request(context: &Context, client: &reqwest::Client, path: &str) -> reqwest::RequestBuilder {
    client
        .get(format!("{}{path}", context.origin))
        .header(ACCEPT, "application/json")
        .header("sec-purpose", "prefetch")
}

/// Judges the response to [`ask`]. `mark` is the kind of the problem with which the layer rejects it.
pub fn judge(path: &str, mark: &str, response: &ProbeResponse) -> Result<(), Astray> {
    let status = response.status.as_u16();
    let astray = |finding, remedy| Err(Astray { finding, remedy });
    match response.own_problem().as_deref() {
        Some(problem) if problem == mark => Ok(()),
        Some("misplaced-endpoints") => astray(
            format!(
                "{path} reaches the endpoints service, but is mounted where the service does not \
                 know it"
            ),
            "mount it with nest_service or route_service, so that it sees the whole path",
        ),
        Some("login-required" | "not-signed-in") => astray(
            format!("{path} reaches a layer that treats it as an ordinary path"),
            "something changes the path on the way (a proxy that strips a prefix), or another \
             application answers there: redirect_uri and the paths must be what browsers see",
        ),
        _ if response.status.is_redirection() => astray(
            format!("{path} is redirected elsewhere ({status}) before it reaches the layer"),
            "use the final address, including scheme and host, as redirect_uri here and at Webflow",
        ),
        _ if status == 404 => {
            astray(format!("{path} reaches no layer: the response is 404"), MOUNT)
        }
        _ => astray(
            format!("something other than the layer responds to {path} with {status}"),
            "another middleware, a proxy or another application answers first: let the path \
             through to the layer",
        ),
    }
}

/// In debug builds of an application on loopback, logs once if the callback does not reach the layer.
/// Neither a request nor a shutdown waits for it.
pub fn check_callback_once(context: &Context) {
    let local = cfg!(debug_assertions) && !context.cookies.is_secure();
    if !local || context.callback_checked.swap(true, Ordering::Relaxed) {
        return;
    }
    let (Ok(runtime), Ok(client)) = (Handle::try_current(), client(context)) else { return };
    let path = context.paths.callback.clone();
    let (request, budget) = (request(context, &client, &path), context.webflow.budget);
    runtime.spawn(async move {
        // The application may be called without a server, as in a test.
        let Ok(response) = send(request, budget).await else { return };
        if let Err(Astray { finding, remedy }) = judge(&path, "prefetch", &response) {
            tracing::warn!(target: log::FLOW, finding, remedy, "the login cannot be completed");
        }
    });
}

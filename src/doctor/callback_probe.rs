//! Checks that the application's public address leads to a layer.
//!
//! Each path is requested in a way that the layer rejects with one of its problem responses before doing
//! anything else: the callback and login paths as a prefetch, the logout path with GET. The
//! requests have no effect.

use http::header::ACCEPT;
use url::Url;

use super::probe;
use super::probe::{ProbeError, ProbeResponse};
use super::report::Check;
use crate::context::Context;
use crate::webflow::{client_builder, may_use_proxy};

const CALLBACK: &str = "callback";

pub async fn check(context: &Context) -> Vec<Check> {
    let client = match client(context) {
        Ok(client) => client,
        Err(error) => {
            return vec![Check::warning(
                CALLBACK,
                format!("cannot create an HTTP client: {error}"),
                "check the system's TLS certificates",
            )];
        }
    };
    let paths = &context.paths;
    let ask = |path: &str| {
        let request = client
            .get(format!("{}{path}", context.origin))
            .header(ACCEPT, "application/json")
            .header("sec-purpose", "prefetch");
        probe::send(request, context.webflow.budget)
    };
    let ask_for = async |path: Option<&str>| match path {
        Some(path) => Some((path.to_owned(), ask(path).await)),
        None => None,
    };
    let (callback, login, logout) = tokio::join!(
        ask(&paths.callback),
        ask_for(paths.login.as_deref()),
        ask_for(paths.logout.as_deref())
    );
    let callback = match callback {
        Err(error) => return vec![no_response(&context.origin, error)],
        Ok(response) => judge(CALLBACK, &paths.callback, "prefetch", &response),
    };
    let others = [("login path", login, "prefetch"), ("logout path", logout, "method-not-allowed")];
    let others = others.into_iter().filter_map(|(name, asked, mark)| {
        let (path, response) = asked?;
        Some(match response {
            Ok(response) => judge(name, &path, mark, &response),
            Err(error) => {
                Check::failed(name, format!("{path}: {error}"), "check the application's log")
            }
        })
    });
    std::iter::once(callback).chain(others).collect()
}

/// Webflow's client may require https, which an application on loopback does not serve.
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

fn no_response(origin: &str, error: ProbeError) -> Check {
    match error {
        ProbeError::Refused => Check::warning(
            CALLBACK,
            format!("the application is not running: nothing is listening at {origin}"),
            "start it, and run the doctor again while it is running",
        ),
        ProbeError::Timeout => Check::failed(
            CALLBACK,
            format!("{origin} did not answer in time"),
            "check that this application is listening there and that this machine can reach it",
        ),
        ProbeError::Other(error) => Check::failed(
            CALLBACK,
            format!("{origin} cannot be reached: {error}"),
            "check the host name, the port and the certificate; browsers must be able to reach it \
             too",
        ),
    }
}

const MOUNT: &str = "put the layer on the outermost router, or mount the endpoints: \
     .route_service(auth.callback_path(), auth.endpoints_service()) for each path, or \
     .nest_service with the prefix that they share";

fn judge(name: &'static str, path: &str, mark: &str, response: &ProbeResponse) -> Check {
    let status = response.status.as_u16();
    match response.own_problem().as_deref() {
        Some(problem) if problem == mark => Check::ok(name, format!("{path} reaches the layer")),
        Some("misplaced-endpoints") => Check::failed(
            name,
            format!(
                "{path} reaches the endpoints service, but is mounted where the service does not \
                 know it"
            ),
            "mount it with nest_service or route_service, so that it sees the whole path",
        ),
        Some("login-required" | "not-signed-in") => Check::failed(
            name,
            format!("{path} reaches a layer that treats it as an ordinary path"),
            "something changes the path on the way (a proxy that strips a prefix), or another \
             application answers there: redirect_uri and the paths must be what browsers see",
        ),
        _ if response.status.is_redirection() => Check::failed(
            name,
            format!("{path} is redirected elsewhere ({status}) before it reaches the layer"),
            "use the final address, including scheme and host, as redirect_uri here and at Webflow",
        ),
        _ if status == 404 => {
            Check::failed(name, format!("{path} reaches no layer: the response is 404"), MOUNT)
        }
        _ => Check::failed(
            name,
            format!("something other than the layer responds to {path} with {status}"),
            "another middleware, a proxy or another application answers first: let the path \
             through to the layer",
        ),
    }
}

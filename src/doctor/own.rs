//! Whether the application's own address leads to a layer.
//!
//! Each path is asked for in a way that the layer refuses with a problem of its own, before it
//! looks at anything: the callback and the login ahead of time (as a prefetch), the logout by GET.
//! Nothing is begun, kept or told by that, whoever asks.

use http::header::ACCEPT;
use url::Url;

use super::probe;
use super::probe::{Answer, Silence};
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
                format!("could not be asked for: {error}"),
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
        probe::ask(request, context.webflow.budget)
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
        Err(silence) => return vec![silent(&context.origin, silence)],
        Ok(answer) => judge(CALLBACK, &paths.callback, "prefetch", &answer),
    };
    let others = [("login path", login, "prefetch"), ("logout path", logout, "method-not-allowed")];
    let others = others.into_iter().filter_map(|(name, asked, mark)| {
        let (path, answer) = asked?;
        Some(match answer {
            Ok(answer) => judge(name, &path, mark, &answer),
            Err(silence) => {
                Check::failed(name, format!("{path}: {silence}"), "see the application's log")
            }
        })
    });
    std::iter::once(callback).chain(others).collect()
}

/// Webflow's client may insist on https, which an application on loopback does not speak.
fn client(context: &Context) -> reqwest::Result<reqwest::Client> {
    let webflow = &context.webflow;
    match Url::parse(&context.origin) {
        Ok(origin) if origin.scheme() == "http" => client_builder(&origin).build(),
        // Where proxies are used for one of the two only, the application's own client is no help.
        Ok(origin) if may_use_proxy(&origin) != may_use_proxy(webflow.endpoints.token()) => {
            client_builder(&origin).build()
        }
        _ => Ok(webflow.http.clone()),
    }
}

fn silent(origin: &str, silence: Silence) -> Check {
    match silence {
        Silence::Refused => Check::warning(
            CALLBACK,
            format!("the application is not running: nothing listens at {origin}"),
            "start it, and run the doctor again beside it",
        ),
        Silence::Timeout => Check::failed(
            CALLBACK,
            format!("{origin} does not answer in time"),
            "is it this application that listens there, and can this machine reach it?",
        ),
        Silence::Other(error) => Check::failed(
            CALLBACK,
            format!("{origin} cannot be reached: {error}"),
            "check the host's name, its port and its certificate; browsers have to get there too",
        ),
    }
}

const MOUNT: &str = "put the layer on the outermost router, or mount the endpoints: \
     .route_service(auth.callback_path(), auth.endpoints_service()) for each path, or \
     .nest_service with the prefix that they share";

fn judge(name: &'static str, path: &str, mark: &str, answer: &Answer) -> Check {
    let status = answer.status.as_u16();
    match answer.own_problem().as_deref() {
        Some(problem) if problem == mark => Check::ok(name, format!("{path} reaches the layer")),
        Some("misplaced-endpoints") => Check::failed(
            name,
            format!("{path} reaches the endpoints service, mounted where it does not know it"),
            "mount it so that it sees the whole path: with nest_service or route_service",
        ),
        Some("login-required" | "not-signed-in") => Check::failed(
            name,
            format!("{path} reaches a layer that takes it for an ordinary path"),
            "something in between changes the path (a proxy that strips a prefix), or another \
             application answers there: redirect_uri and the paths are those that browsers see",
        ),
        _ if answer.status.is_redirection() => Check::failed(
            name,
            format!("{path} is redirected elsewhere ({status}) before it reaches the layer"),
            "give the final address as redirect_uri, with its scheme and host, here and at Webflow",
        ),
        _ if status == 404 => {
            Check::failed(name, format!("{path} reaches no layer: the answer is 404"), MOUNT)
        }
        _ => Check::failed(
            name,
            format!("{path} is answered {status} by something else than the layer"),
            "another middleware, a proxy or another application answers first: let the path \
             through to the layer",
        ),
    }
}

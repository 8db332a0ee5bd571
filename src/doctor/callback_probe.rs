//! Checks that the application's public address leads to a layer.
//!
//! Each path is requested in a way that the layer rejects with one of its problem responses before doing
//! anything else: the callback and login paths as a prefetch, the logout path with GET. The
//! requests have no effect.

use super::report::Check;
use crate::context::Context;
use crate::flow::reach;
use crate::webflow::probe::{ProbeError, ProbeResponse};

const CALLBACK: &str = "callback";

pub async fn check(context: &Context) -> Vec<Check> {
    let client = match reach::client(context) {
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
    let ask_for = async |path: Option<&str>| match path {
        Some(path) => Some((path.to_owned(), reach::ask(context, &client, path).await)),
        None => None,
    };
    let (callback, login, logout) = tokio::join!(
        reach::ask(context, &client, &paths.callback),
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

fn judge(name: &'static str, path: &str, mark: &str, response: &ProbeResponse) -> Check {
    match reach::judge(path, mark, response) {
        Ok(()) => Check::ok(name, format!("{path} reaches the layer")),
        Err(astray) => Check::failed(name, astray.finding, astray.remedy),
    }
}

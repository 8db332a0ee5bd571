//! Checks that Webflow is reachable, accepts the authorize link and has the same time.

use std::time::UNIX_EPOCH;

use http::header::ACCEPT;
use url::Url;

use super::report::Check;
use crate::context::Context;
use crate::crypto::random;
use crate::webflow::probe;
use crate::webflow::probe::{ProbeError, ProbeResponse};

/// Tolerated clock difference between instances and Webflow, in seconds. States from further in the
/// future are rejected.
const MAX_SKEW_SECS: i64 = 60;

pub async fn check(context: &Context) -> [Check; 3] {
    let webflow = &context.webflow;
    // Exactly the link that browsers are sent to. It contains no secret.
    let link = webflow.authorize.link(&context.scopes.to_string(), &random::token_256());
    let authorize = webflow.http.get(link).header(ACCEPT, "text/html");
    // A HEAD request to the token endpoint needs no credentials and has no effect.
    let token = webflow.http.head(webflow.endpoints.token().clone());
    let (authorize, token) =
        tokio::join!(probe::send(authorize, webflow.budget), probe::send(token, webflow.budget));
    let theirs = [&token, &authorize].into_iter().flatten().find_map(|response| response.unix_secs);
    let clock = clock(theirs, context);
    let host = |url: &Url| url.origin().ascii_serialization();
    [
        authorize_check(authorize, &host(webflow.endpoints.authorize()), &webflow.redirect_uri),
        token_check(token, &host(webflow.endpoints.token())),
        clock,
    ]
}

const WAY_OUT: &str = "make sure this machine can reach that host and port (DNS, firewall, \
     proxy), or try again later";
const TRY_LATER: &str = "Webflow has a problem: try again later";
const COMPARE: &str = "compare WEBFLOW_CLIENT_ID, WEBFLOW_REDIRECT_URI (every character) and \
     WEBFLOW_SCOPES with the app's settings at Webflow";

fn authorize_check(
    response: Result<ProbeResponse, ProbeError>,
    host: &str,
    redirect_uri: &str,
) -> Check {
    let name = "authorize page";
    let response = match response {
        Err(error) => {
            return Check::failed(name, format!("{host} cannot be reached: {error}"), WAY_OUT);
        }
        Ok(response) => response,
    };
    if response.status.is_redirection()
        && let Some(error) = error_in(&response, redirect_uri)
    {
        return Check::failed(name, format!("{host} refuses this client's link: {error}"), COMPARE);
    }
    let status = response.status.as_u16();
    match status {
        200..=299 => Check::ok(name, format!("{host} accepts this client's link")),
        // Only a browser that is signed in to Webflow would get an answer about the link.
        300..=399 => Check::ok(name, format!("{host} asks the user to sign in to Webflow")),
        400 => Check::failed(name, format!("{host} rejects this client's link (400)"), COMPARE),
        500..=599 => Check::failed(name, format!("{host} answers {status}"), TRY_LATER),
        _ => Check::warning(
            name,
            format!("{host} answers {status}, which says nothing about the link"),
            "open the application's login path in a browser to find out",
        ),
    }
}

/// The error code of a redirect to the callback, which without a user can only report an error.
fn error_in(response: &ProbeResponse, redirect_uri: &str) -> Option<String> {
    let location = response.location.as_ref().filter(|it| it.starts_with(redirect_uri))?;
    let url = Url::parse(location).ok()?;
    let error = url.query_pairs().find(|(name, _)| name == "error");
    Some(error.map_or_else(|| "no error code".to_owned(), |(_, code)| code.into_owned()))
}

fn token_check(response: Result<ProbeResponse, ProbeError>, host: &str) -> Check {
    let name = "token endpoint";
    match response {
        Err(error) => Check::failed(name, format!("{host} cannot be reached: {error}"), WAY_OUT),
        Ok(response) if response.status.is_server_error() => {
            Check::failed(name, format!("{host} answers {}", response.status.as_u16()), TRY_LATER)
        }
        Ok(_) => Check::ok(name, format!("{host} answers")),
    }
}

fn clock(theirs: Option<i64>, context: &Context) -> Check {
    let name = "clock";
    let ours = context.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Some(theirs) = theirs else {
        return Check::warning(
            name,
            "skipped: Webflow's response has no `Date` header",
            "synchronize it with NTP; flows and sessions expire by it",
        );
    };
    let ahead = i64::try_from(ours).unwrap_or(i64::MAX).saturating_sub(theirs);
    if ahead.abs() <= MAX_SKEW_SECS {
        return Check::ok(name, format!("within {MAX_SKEW_SECS} s of Webflow's clock"));
    }
    let which = if ahead > 0 { "ahead of" } else { "behind" };
    Check::failed(
        name,
        format!("{} s {which} Webflow's", ahead.unsigned_abs()),
        "synchronize it with NTP: flows and sessions expire by it",
    )
}

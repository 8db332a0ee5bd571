//! Whether Webflow can be reached, takes the authorize link, and has the same time.

use std::time::UNIX_EPOCH;

use http::header::ACCEPT;
use url::Url;

use super::probe;
use super::probe::{Answer, Silence};
use super::report::Check;
use crate::context::Context;
use crate::crypto::random;
use crate::flow::authorize::authorize_url;

/// What instances and Webflow may differ by, in seconds; states from further ahead are refused.
const MAX_SKEW_SECS: i64 = 60;

pub async fn check(context: &Context) -> [Check; 3] {
    let webflow = &context.webflow;
    // The very link that browsers are sent to; nothing in it is a secret.
    let link = authorize_url(context, &context.scopes.to_string(), &random::token_256());
    let authorize = webflow.http.get(link).header(ACCEPT, "text/html");
    // A HEAD to the token endpoint carries no credentials and asks for nothing.
    let token = webflow.http.head(webflow.endpoints.token().clone());
    let (authorize, token) =
        tokio::join!(probe::ask(authorize, webflow.budget), probe::ask(token, webflow.budget));
    let theirs = [&token, &authorize].into_iter().flatten().find_map(|answer| answer.unix_secs);
    let clock = clock(theirs, context);
    let host = |url: &Url| url.origin().ascii_serialization();
    [
        authorize_check(authorize, &host(webflow.endpoints.authorize()), &webflow.redirect_uri),
        token_check(token, &host(webflow.endpoints.token())),
        clock,
    ]
}

const WAY_OUT: &str =
    "let this machine reach that host on its port (DNS, firewall, proxy), or try again later";
const TRY_LATER: &str = "Webflow has a problem: try again later";
const COMPARE: &str = "compare WEBFLOW_CLIENT_ID, WEBFLOW_REDIRECT_URI (to the letter) and \
     WEBFLOW_SCOPES with the app's settings at Webflow";

fn authorize_check(answer: Result<Answer, Silence>, host: &str, redirect_uri: &str) -> Check {
    let name = "authorize page";
    let answer = match answer {
        Err(silence) => {
            return Check::failed(name, format!("{host} cannot be reached: {silence}"), WAY_OUT);
        }
        Ok(answer) => answer,
    };
    let status = answer.status.as_u16();
    match status {
        200..=299 => Check::ok(name, format!("{host} does not object to this client's link")),
        300..=399 if came_back(&answer, redirect_uri) => {
            Check::failed(name, format!("{host} sends the link back with an error"), COMPARE)
        }
        // To a browser that is signed in to Webflow it says what it thinks of the link.
        300..=399 => Check::ok(name, format!("{host} answers, and asks to sign in to Webflow")),
        400 => Check::failed(name, format!("{host} refuses this client's link (400)"), COMPARE),
        500..=599 => Check::failed(name, format!("{host} answers {status}"), TRY_LATER),
        _ => Check::warning(
            name,
            format!("{host} answers {status}, which says nothing of the link"),
            "open the application's login path in a browser and see",
        ),
    }
}

/// Whether it is a redirect to the callback, which without a user can only bring an error.
fn came_back(answer: &Answer, redirect_uri: &str) -> bool {
    answer.location.as_ref().is_some_and(|location| location.starts_with(redirect_uri))
}

fn token_check(answer: Result<Answer, Silence>, host: &str) -> Check {
    let name = "token endpoint";
    match answer {
        Err(silence) => {
            Check::failed(name, format!("{host} cannot be reached: {silence}"), WAY_OUT)
        }
        Ok(answer) if answer.status.is_server_error() => {
            Check::failed(name, format!("{host} answers {}", answer.status.as_u16()), TRY_LATER)
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
            "could not be compared: Webflow did not say what time it is",
            "keep it right with NTP; flows and sessions end by it",
        );
    };
    let ahead = i64::try_from(ours).unwrap_or(i64::MAX).saturating_sub(theirs);
    if ahead.abs() <= MAX_SKEW_SECS {
        return Check::ok(name, format!("within {MAX_SKEW_SECS} s of Webflow's"));
    }
    let which = if ahead > 0 { "ahead of" } else { "behind" };
    Check::failed(
        name,
        format!("{} s {which} Webflow's", ahead.unsigned_abs()),
        "set it, and keep it right with NTP: flows and sessions end by it",
    )
}

//! Every text that a user of the application may see.

#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "panels")]
pub mod panel;
#[cfg(feature = "webhooks")]
pub mod webhook;

use std::time::Duration;

use http::StatusCode;

use super::{FailureKind, Problem};
use crate::store::StoreError;
use crate::util::log;

/// How long clients should wait while the store is unavailable.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(5);
const RATE_LIMIT_RETRY_AFTER: Duration = Duration::from_secs(60);
const SHUTDOWN_RETRY_AFTER: Duration = Duration::from_secs(1);

const BACK: &str = "Back to the application";

// Requests for the application.

/// Nobody has connected Webflow, and the request cannot be redirected there.
pub fn login_required(login_url: String) -> Problem {
    Problem::new(
        FailureKind::LoginRequired,
        StatusCode::UNAUTHORIZED,
        "Webflow is not connected",
        "Connect Webflow to continue. You will return to the application afterwards.",
    )
    .login_url(login_url)
    .link_text("Connect Webflow")
}

/// The application decides who its users are, and nobody is signed in.
pub fn not_signed_in() -> Problem {
    Problem::new(
        FailureKind::NotSignedIn,
        StatusCode::UNAUTHORIZED,
        "Please sign in first",
        "Webflow can be connected once you are signed in to the application.",
    )
    .link_text("Sign in")
}

pub fn missing_scopes(missing: String) -> Problem {
    let mut problem = Problem::new(
        FailureKind::MissingScopes,
        StatusCode::FORBIDDEN,
        "Missing Webflow permissions",
        format!("The connection to Webflow does not include: {missing}."),
    );
    problem.missing_scopes = Some(missing);
    problem.link_text("Ask again")
}

/// Webflow refuses a token that it has just issued.
pub fn renewed_token_refused(login_url: String) -> Problem {
    Problem::new(
        FailureKind::RenewedTokenRefused,
        StatusCode::BAD_GATEWAY,
        "Webflow refuses the new connection",
        "Webflow does not accept a token that it has just issued. Please try again later.",
    )
    .login_url(login_url)
}

/// The dead token has already been replaced, so the same request works now.
pub fn token_replaced() -> Problem {
    Problem::new(
        FailureKind::TokenReplaced,
        StatusCode::SERVICE_UNAVAILABLE,
        "The connection to Webflow has just been renewed",
        "Please repeat the request.",
    )
    .retry_after(Duration::from_secs(1))
    .retry_here(true)
}

/// The token store failed: 503, or 500 if it panicked. Logs the error.
pub fn store_failed(error: &StoreError) -> Problem {
    let cause = error as &dyn std::error::Error;
    tracing::error!(target: log::STORE, error = cause, "the token store failed");
    if matches!(error, StoreError::Panicked) { internal() } else { store_unavailable() }
}

pub fn store_unavailable() -> Problem {
    Problem::new(
        FailureKind::StoreUnavailable,
        StatusCode::SERVICE_UNAVAILABLE,
        "Sign-in is temporarily unavailable",
        "The application's token store is not available. Please try again in a moment.",
    )
    .retry_after(STORE_RETRY_AFTER)
    .retry_here(true)
}

pub fn subject_unavailable() -> Problem {
    Problem::new(
        FailureKind::SubjectUnavailable,
        StatusCode::SERVICE_UNAVAILABLE,
        "Your sign-in cannot be checked right now",
        "The application could not determine who you are. Please try again in a moment.",
    )
    .retry_after(STORE_RETRY_AFTER)
    .retry_here(true)
}

/// A closure, store or hook panicked.
pub fn internal() -> Problem {
    Problem::new(
        FailureKind::Internal,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "An unexpected error occurred in the application. Please try again.",
    )
    .retry_here(true)
}

// The crate's own paths.

pub fn method_not_allowed(allow: &'static str) -> Problem {
    let mut problem = Problem::new(
        FailureKind::MethodNotAllowed,
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        format!("Use {allow}."),
    );
    problem.allow = Some(allow);
    problem
}

pub fn prefetch() -> Problem {
    Problem::new(
        FailureKind::Prefetch,
        StatusCode::FORBIDDEN,
        "Prefetching is disabled here",
        "A sign-in cannot be prefetched. Open the link itself.",
    )
}

pub fn misplaced_endpoints(callback: &str) -> Problem {
    Problem::new(
        FailureKind::MisplacedEndpoints,
        StatusCode::NOT_FOUND,
        "Not found",
        format!(
            "The endpoints service is mounted at a path that it does not serve. Its callback path \
             is {callback}."
        ),
    )
}

pub fn malformed_login() -> Problem {
    Problem::new(
        FailureKind::MalformedLogin,
        StatusCode::BAD_REQUEST,
        "This sign-in link is malformed",
        "It accepts return_to, a path, and scope, a list of the application's scopes, each at most \
         once.",
    )
}

pub fn cross_origin(own: &str) -> Problem {
    Problem::new(
        FailureKind::CrossOrigin,
        StatusCode::FORBIDDEN,
        "This request did not come from the application's own pages",
        format!("To sign out, send a POST from a page of {own}."),
    )
    .login_url("/")
    .link_text(BACK)
}

pub fn malformed_logout() -> Problem {
    Problem::new(
        FailureKind::MalformedLogout,
        StatusCode::BAD_REQUEST,
        "This sign-out link is malformed",
        "It repeats the parameter revoke. Nothing has changed: you are still signed in.",
    )
    .login_url("/")
    .link_text(BACK)
}

pub fn webflow_not_told() -> Problem {
    Problem::new(
        FailureKind::WebflowNotTold,
        StatusCode::BAD_GATEWAY,
        "You're signed out, but Webflow could not be notified",
        "The application will keep trying to end the authorization. You can also remove the app \
         in your Webflow settings.",
    )
    .login_url("/")
    .link_text(BACK)
}

// Callbacks.

pub fn malformed_callback() -> Problem {
    Problem::new(
        FailureKind::MalformedCallback,
        StatusCode::BAD_REQUEST,
        "This sign-in link is malformed",
        "It is not a link that Webflow creates. Please start again.",
    )
}

pub fn flow_expired() -> Problem {
    Problem::new(
        FailureKind::FlowExpired,
        StatusCode::BAD_REQUEST,
        "This sign-in took too long",
        "A sign-in must be completed within about 15 minutes. Please start again.",
    )
    .link_text("Start again")
}

/// `on_authorized` returned an error.
pub fn hook_refused() -> Problem {
    Problem::new(
        FailureKind::HookRefused,
        StatusCode::INTERNAL_SERVER_ERROR,
        "The application could not set up the connection",
        "Webflow was not connected, and nothing has changed. Please try again.",
    )
}

/// One message for every unknown or stale state, so that responses reveal nothing.
pub fn unknown_flow() -> Problem {
    Problem::new(
        FailureKind::UnknownFlow,
        StatusCode::BAD_REQUEST,
        "This sign-in was not started here",
        "It was started in another browser, has already been completed, or its cookie is missing: \
         cookies must be allowed for this site. Please start again.",
    )
    .causes(&[COOKIES_BLOCKED, OTHER_BROWSER, COMPLETED])
    .link_text("Start again")
}

/// [`unknown_flow`], with the most common cause on a developer's machine first.
pub fn unknown_flow_on_loopback() -> Problem {
    unknown_flow().causes(&[OTHER_HOST, COOKIES_BLOCKED, OTHER_BROWSER, COMPLETED])
}

const COOKIES_BLOCKED: (&str, &str) = (
    "Cookies are blocked",
    "Cookies must be allowed for this site: without one, nothing shows that you started this \
     sign-in.",
);
const OTHER_BROWSER: (&str, &str) = (
    "It was started in another browser or a private window",
    "Finish it there, or start again here.",
);
const COMPLETED: (&str, &str) = (
    "It has already been completed, or you have signed out since",
    "Each response from Webflow works for one sign-in only.",
);
const OTHER_HOST: (&str, &str) = (
    "It was started under another name of this machine",
    "Browsers do not send the cookies of localhost to 127.0.0.1. Open the application at the host \
     of its redirect URI.",
);

/// The callback arrived at a path of the application instead of the callback path.
pub fn misplaced_callback(path: &str, callback: &str) -> Problem {
    Problem::new(
        FailureKind::MisplacedCallback,
        StatusCode::INTERNAL_SERVER_ERROR,
        "The sign-in came back to the wrong path",
        format!(
            "Webflow sent the browser to {callback}, but the layer received {path}. Something in \
             front of it changes paths: mount the layer where it sees the path of the redirect \
             URI unchanged."
        ),
    )
}

/// More scopes are needed, and the request cannot be redirected.
pub fn more_scopes_required(login_url: String) -> Problem {
    Problem::new(
        FailureKind::LoginRequired,
        StatusCode::UNAUTHORIZED,
        "More Webflow permissions are needed",
        "Allow them at Webflow to continue. You will return to the application afterwards.",
    )
    .login_url(login_url)
    .link_text("Continue to Webflow")
}

/// The user is connected, but declined additional scopes.
pub fn step_up_declined() -> Problem {
    Problem::new(
        FailureKind::AccessDenied,
        StatusCode::FORBIDDEN,
        "You declined the additional permissions",
        "Nothing has changed: the permissions that you allowed before are still in place.",
    )
    .link_text("Ask again")
}

/// Webflow returned an error instead of an authorization code. `code` is a known error code.
pub fn authorization_refused(code: &'static str) -> Problem {
    if code == "access_denied" {
        return Problem::new(
            FailureKind::AccessDenied,
            StatusCode::FORBIDDEN,
            "You did not connect Webflow",
            "You declined access on Webflow's page, so nothing has changed. You can connect \
             whenever you like.",
        )
        .link_text("Connect Webflow");
    }
    let detail = match code {
        "invalid_scope" => {
            "The application requests scopes that are not enabled in its settings at Webflow. Its \
             developers can enable them there."
        }
        "invalid_request" | "unauthorized_client" | "unsupported_response_type" => {
            "Webflow refused the application's request. Its developers should compare the client \
             ID and redirect URI with the app's settings at Webflow."
        }
        "server_error" | "temporarily_unavailable" => {
            "Webflow has a problem right now. Please try again in a moment."
        }
        _ => "Webflow did not complete the sign-in.",
    };
    Problem::new(
        FailureKind::AuthorizationRefused,
        StatusCode::BAD_REQUEST,
        "Webflow refused the sign-in",
        detail,
    )
}

pub fn invalid_grant() -> Problem {
    Problem::new(
        FailureKind::InvalidGrant,
        StatusCode::BAD_REQUEST,
        "Webflow did not accept this sign-in",
        "Its code was already used, or is older than 15 minutes. Please start again.",
    )
}

pub fn webflow_refused() -> Problem {
    Problem::new(
        FailureKind::WebflowRefused,
        StatusCode::BAD_GATEWAY,
        "Webflow could not complete the sign-in",
        "Webflow's response could not be used. The application's log has the reason.",
    )
}

pub fn webflow_timeout() -> Problem {
    Problem::new(
        FailureKind::WebflowTimeout,
        StatusCode::GATEWAY_TIMEOUT,
        "Webflow is not answering",
        "Webflow took too long to complete the sign-in. Please try again in a moment.",
    )
}

pub fn webflow_unreachable() -> Problem {
    Problem::new(
        FailureKind::WebflowUnreachable,
        StatusCode::BAD_GATEWAY,
        "Webflow cannot be reached",
        "The connection to Webflow failed. Please try again in a moment.",
    )
}

pub fn webflow_busy(wait: Option<Duration>) -> Problem {
    Problem::new(
        FailureKind::WebflowBusy,
        StatusCode::SERVICE_UNAVAILABLE,
        "Webflow is busy",
        "Webflow is limiting sign-ins right now. Please try again in a minute.",
    )
    .retry_after(wait.unwrap_or(RATE_LIMIT_RETRY_AFTER))
}

/// No exchange was started, so the flow can be completed later.
pub fn too_many_callbacks() -> Problem {
    Problem::new(
        FailureKind::TooManyCallbacks,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many sign-ins at the moment",
        "Reload this page in a moment to complete the sign-in.",
    )
    .retry_after(SHUTDOWN_RETRY_AFTER)
    .retry_here(true)
}

pub fn too_many_logouts() -> Problem {
    Problem::new(
        FailureKind::TooManyLogouts,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many sign-outs at the moment",
        "Nothing has changed. Please sign out again in a moment.",
    )
    .retry_after(SHUTDOWN_RETRY_AFTER)
}

pub fn shutting_down() -> Problem {
    Problem::new(
        FailureKind::ShuttingDown,
        StatusCode::SERVICE_UNAVAILABLE,
        "The application is restarting",
        "Reload this page in a moment to complete the sign-in.",
    )
    .retry_after(SHUTDOWN_RETRY_AFTER)
    .retry_here(true)
}

//! What is said when a callback is refused for what it brings.

use http::StatusCode;

use super::Problem;

/// The user is connected, and does not want to allow more.
pub(crate) fn no_more() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "access-denied",
        "You did not allow more",
        "Access was declined on Webflow's page, so nothing has changed: what you had allowed \
         before is still there.",
    )
    .way_on("Ask again")
}

/// What Webflow said in place of a code; `code` is one of the known ones.
pub(crate) fn of_webflow(code: &'static str) -> Problem {
    if code == "access_denied" {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "access-denied",
            "You did not connect Webflow",
            "Access was declined on Webflow's page, so nothing has changed. \
             You can connect whenever you like.",
        )
        .way_on("Connect Webflow");
    }
    let detail = match code {
        "invalid_scope" => {
            "The application asks for scopes that its Webflow settings do not have. \
             Its developers can add them there."
        }
        "invalid_request" | "unauthorized_client" | "unsupported_response_type" => {
            "Webflow refused the application's request. Its developers should compare client id \
             and redirect URI with the app's settings at Webflow."
        }
        "server_error" | "temporarily_unavailable" => {
            "Webflow has a problem right now. Please try again in a moment."
        }
        _ => "Webflow did not complete the sign-in.",
    };
    Problem::new(
        StatusCode::BAD_REQUEST,
        "authorization-refused",
        "Webflow refused the sign-in",
        detail,
    )
}

pub(crate) fn malformed() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed-callback",
        "This sign-in link is malformed",
        "It does not have the form that Webflow gives it. Please start again.",
    )
}

pub(crate) fn expired() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "flow-expired",
        "This sign-in took too long",
        "A sign-in has to be completed within 15 minutes or so. Please start again.",
    )
    .way_on("Start again")
}

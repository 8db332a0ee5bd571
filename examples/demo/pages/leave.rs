//! Signing out, disconnecting, and what became of it.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::{Frame, Mark, Place, Statement, statement};
use crate::routes::Tour;

/// The two ways to leave, each with what it means.
pub(crate) fn ask(tour: &Tour) -> Response {
    let frame = Frame { title: "Disconnect", place: Place::Elsewhere, connected: true };
    let logout = tour.auth.logout_path().unwrap_or("/");
    let content = html! {
        h1 { "Sign out, or disconnect?" }
        div.choices {
            (choice(
                "Sign out",
                "This demo forgets your token. Webflow goes on listing the app as connected, until \
                 you remove it there.",
                &format!("{logout}?return_to=/signed-out"),
                "Sign out",
                false,
            ))
            (choice(
                "Disconnect",
                "Webflow ends the authorization as well: the token is worth nothing from then on, \
                 wherever it may be.",
                &format!("{logout}?revoke=true&return_to=/disconnected"),
                "Disconnect from Webflow",
                true,
            ))
        }
    };
    frame.respond(StatusCode::OK, &content)
}

fn choice(title: &str, text: &str, action: &str, button: &str, grave: bool) -> Markup {
    html! {
        section.choice {
            h2 { (title) }
            p { (text) }
            form method="post" action=(action) {
                button.button.quiet[!grave].grave[grave] type="submit" { (button) }
            }
        }
    }
}

pub(crate) fn signed_out() -> Response {
    result(
        "You are signed out",
        "This demo has forgotten your token. Webflow still lists the app as connected; you can \
         remove it there.",
    )
}

pub(crate) fn disconnected() -> Response {
    result(
        "Webflow is disconnected",
        "Webflow has ended the authorization and this demo has forgotten your token. Nothing that \
         you allowed is left.",
    )
}

fn result(title: &str, text: &str) -> Response {
    let frame = Frame { title, place: Place::Elsewhere, connected: false };
    let way_on = ("/", "Back to the start");
    let said = Statement { mark: Mark::Done, title, text, way_on, small: None };
    statement(&frame, StatusCode::OK, &said)
}

/// For those who come to a result that is not theirs.
pub(crate) fn still_there() -> Response {
    let frame = Frame { title: "Still connected", place: Place::Elsewhere, connected: true };
    let said = Statement {
        mark: Mark::Pause,
        title: "You are still connected",
        text: "Nothing was signed out or disconnected by opening this page.",
        way_on: ("/disconnect", "Sign out or disconnect"),
        small: None,
    };
    statement(&frame, StatusCode::OK, &said)
}

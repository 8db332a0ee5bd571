//! Signing out, disconnecting, and the pages that confirm it.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::{Frame, Mark, Place, Statement, statement};
use crate::routes::Tour;

/// Offers the two ways to leave, and explains each.
pub(crate) fn ask(tour: &Tour) -> Response {
    let frame = Frame { title: "Disconnect", place: Place::Elsewhere, connected: true };
    let logout = tour.auth.logout_path().unwrap_or("/");
    let content = html! {
        h1 { "Sign out, or disconnect?" }
        div.choices {
            (choice(
                "Sign out",
                "This demo deletes your token. Webflow still lists the app as connected until you \
                 remove it there.",
                &format!("{logout}?return_to=/signed-out"),
                "Sign out",
                false,
            ))
            (choice(
                "Disconnect",
                "Webflow revokes the authorization as well. From then on the token is invalid, \
                 wherever it is.",
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
        "This demo has deleted your token. Webflow still lists the app as connected; you can \
         remove it there.",
    )
}

pub(crate) fn disconnected() -> Response {
    result(
        "Webflow is disconnected",
        "Webflow has revoked the authorization, and this demo has deleted your token. None of your \
         permissions remain.",
    )
}

fn result(title: &str, text: &str) -> Response {
    let frame = Frame { title, place: Place::Elsewhere, connected: false };
    let link = ("/", "Back to the start");
    let said = Statement { mark: Mark::Done, title, text, link, small: None };
    statement(&frame, StatusCode::OK, &said)
}

/// For visitors who open a confirmation page while they are still connected.
pub(crate) fn still_there() -> Response {
    let frame = Frame { title: "Still connected", place: Place::Elsewhere, connected: true };
    let said = Statement {
        mark: Mark::Pause,
        title: "You are still connected",
        text: "Opening this page did not sign you out or disconnect you.",
        link: ("/disconnect", "Sign out or disconnect"),
        small: None,
    };
    statement(&frame, StatusCode::OK, &said)
}

//! The home page, with or without a connection.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use tower_webflow_auth::WebflowToken;

use super::{Frame, Place};
use crate::routes::Tour;
use crate::words;

pub(crate) fn page(tour: &Tour, token: Option<&WebflowToken>) -> Response {
    let frame = Frame { title: "Home", place: Place::Home, connected: token.is_some() };
    let content = html! {
        @match token {
            Some(token) => (connected(token)),
            None => (welcome(tour)),
        }
        (refusals(tour))
    };
    frame.respond(StatusCode::OK, &content)
}

fn welcome(tour: &Tour) -> Markup {
    html! {
        div.hero {
            div {
                h1 { "Connect your Webflow account" }
                p.lead {
                    "This demo is a small web application behind one layer of "
                    code { "tower-webflow-auth" } ". The layer sends you to Webflow and back, and "
                    "passes your token to the pages behind it."
                }
                p.actions {
                    a.button href=(tour.auth.login_path().unwrap_or("/sites")) { "Connect Webflow" }
                }
                p.soft {
                    @if tour.is_fake {
                        "The demo uses a fake Webflow on this machine. You need no account, and no "
                        "real site is involved."
                    } @else {
                        "At Webflow you choose which sites it may read. You can revoke that at any "
                        "time."
                    }
                }
            }
            (art())
        }
        section aria-labelledby="how" {
            h2 #how { "What happens" }
            ol.steps {
                li { h3 { "Webflow asks you" } p { "You see which permissions the demo requests, and pick the sites." } }
                li { h3 { "The demo gets a token" } p { "It is encrypted before it is stored, and no page ever shows it." } }
                li { h3 { "You come back" } p { "To the page you asked for, now with your sites." } }
            }
        }
    }
}

/// A decorative picture: a consent screen in front of a list of sites.
fn art() -> Markup {
    html! {
        svg.art viewBox="0 0 400 290" aria-hidden="true" {
            rect.window x="1" y="1" width="330" height="220" rx="14" {}
            circle.block cx="22" cy="22" r="5" {}
            circle.block cx="38" cy="22" r="5" {}
            circle.block cx="54" cy="22" r="5" {}
            path.faint d="M24 62h120M24 84h74" {}
            rect.block x="20" y="112" width="86" height="84" rx="8" {}
            rect.block x="120" y="112" width="86" height="84" rx="8" {}
            rect.card x="176" y="54" width="222" height="234" rx="16" {}
            rect.accent x="200" y="78" width="40" height="40" rx="10" {}
            path.on d="M211 93h18M211 103h11" {}
            path.ink d="M256 90h96" {}
            path.faint d="M256 108h64" {}
            path.tick d="M202 150l6 6 10-12M202 182l6 6 10-12M202 214l6 6 10-12" {}
            path.faint d="M234 150h120M234 182h88M234 214h104" {}
            rect.accent x="200" y="240" width="174" height="30" rx="8" {}
            path.on d="M262 255h50" {}
        }
    }
}

fn connected(token: &WebflowToken) -> Markup {
    html! {
        div.hero {
            h1 { "Webflow is connected" }
            p.lead {
                "You connected it " (words::ago(token.obtained_at())) ", with "
                (words::count(token.scopes().len(), "permission", "permissions")) "."
            }
            p.actions { a.button href="/sites" { "See your sites" } }
        }
        section aria-labelledby="around" {
            h2 #around { "Look around" }
            ul.tiles {
                (tile("/access", "What it may do", "Its permissions, the sites, and the remaining calls."))
                (tile("/cms", "A page that needs more", "It requests one more permission, then returns."))
                (tile("/disconnect", "Sign out or disconnect", "Only here, or at Webflow too."))
            }
        }
    }
}

/// Links to requests that the layer rejects.
fn refusals(tour: &Tour) -> Markup {
    let callback = |query| format!("{}?{query}", tour.auth.callback_path());
    html! {
        section aria-labelledby="refusals" {
            h2 #refusals { "See it refuse" }
            ul.tiles {
                (tile(&callback("code=stolen&state=forged"), "A forged callback",
                    "Somebody else's link, or a browser without cookies."))
                (tile(&callback("error=access_denied"), "A cancelled consent",
                    "The user clicked Cancel at Webflow."))
                (tile(&callback("code=a&code=b"), "A malformed callback",
                    "Webflow would never send it."))
            }
        }
    }
}

fn tile(path: &str, title: &str, text: &str) -> Markup {
    html! {
        li { a.tile href=(path) { strong { (title) } span { (text) } } }
    }
}

//! The demo's pages: plain HTML, no scripts, one style sheet.

pub(crate) mod access;
pub(crate) mod home;
pub(crate) mod leave;
pub(crate) mod sites;
pub(crate) mod trouble;

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};

pub(crate) const STYLE: &str = include_str!("../style.css");
pub(crate) const ICON: &str = include_str!("../icon.svg");

/// The URL changes with the style sheet's content, so browsers may cache it forever.
static STYLE_PATH: LazyLock<String> =
    LazyLock::new(|| format!("/style.css?v={}", URL_SAFE_NO_PAD.encode(Sha256::digest(STYLE))));

/// The logout path, and the page that confirms it.
const SIGN_OUT: &str = "/auth/webflow/logout?return_to=/signed-out";

/// No scripts and no frames. Site previews come from Webflow's screenshot host.
const POLICY: &str = "default-src 'none'; style-src 'self'; \
     img-src 'self' https://screenshots.webflow.com; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// A section of the demo, for the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Sites,
    Access,
    Cms,
    Elsewhere,
}

const PLACES: [(Place, &str, &str); 4] = [
    (Place::Home, "/", "Home"),
    (Place::Sites, "/sites", "Sites"),
    (Place::Access, "/access", "Access"),
    (Place::Cms, "/cms", "CMS"),
];

/// The layout around a page's content.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) place: Place,
    /// Whether the visitor has connected Webflow. Without a connection the navigation is hidden.
    pub(crate) connected: bool,
}

impl Frame<'_> {
    pub(crate) fn respond(&self, status: StatusCode, content: &Markup) -> Response {
        let page = self.page(content).into_string();
        let mut response = (status, Body::from(page)).into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn page(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · tower-webflow-auth demo" }
                    link rel="icon" type="image/svg+xml" href="/icon.svg";
                    link rel="stylesheet" href=(*STYLE_PATH);
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    (self.header())
                    main #content tabindex="-1" { (content) }
                    (self.footer())
                }
            }
        }
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                div.wrap {
                    a.brand href="/" {
                        img src="/icon.svg" alt="" width="28" height="28";
                        "tower-webflow-auth"
                    }
                    @if self.connected {
                        nav aria-label="Main" {
                            ul {
                                @for (place, path, name) in PLACES {
                                    li {
                                        a href=(path)
                                            aria-current=[(place == self.place).then_some("page")]
                                        { (name) }
                                    }
                                }
                            }
                        }
                    }
                    p.state.on[self.connected] {
                        @if self.connected { "Connected" } @else { "Not connected" }
                    }
                    @if self.connected {
                        form method="post" action=(SIGN_OUT) {
                            button.button.quiet { "Sign out" }
                        }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            footer {
                div.wrap {
                    p { "A demo of the Rust crate " code { "tower-webflow-auth" } "." }
                    ul {
                        @if self.connected { li { a href="/whoami" { "Who am I, as JSON" } } }
                        li { a href="/health" { "Health" } }
                    }
                }
            }
        }
    }
}

/// A page with one message and one link.
pub(crate) fn statement(frame: &Frame<'_>, status: StatusCode, said: &Statement<'_>) -> Response {
    let content = html! {
        div.statement {
            (said.mark.picture())
            h1 { (said.title) }
            p.lead { (said.text) }
            p.actions { a.button href=(said.link.0) { (said.link.1) } }
            @if let Some(small) = &said.small { p.reference { code { (small) } } }
        }
    };
    frame.respond(status, &content)
}

/// The content of such a page.
pub(crate) struct Statement<'a> {
    pub(crate) mark: Mark,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// The link's path and label.
    pub(crate) link: (&'a str, &'a str),
    /// Details for the application's operator.
    pub(crate) small: Option<String>,
}

/// A decorative icon; the heading carries its meaning.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    Done,
    Pause,
    Lost,
    Trouble,
}

impl Mark {
    fn picture(self) -> Markup {
        let (class, path) = match self {
            Self::Done => ("mark good", "M6 12.5l4 4 8-9"),
            Self::Pause => ("mark", "M9 6v12M15 6v12"),
            Self::Lost => ("mark", "M9 9.5a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18.5v.2"),
            Self::Trouble => ("mark bad", "M12 5v9M12 18.5v.5"),
        };
        html! {
            div class=(class) aria-hidden="true" { svg viewBox="0 0 24 24" { path d=(path) {} } }
        }
    }
}

/// The page that needs one more scope than the others.
pub(crate) fn cms() -> Response {
    let frame = Frame { title: "CMS", place: Place::Cms, connected: true };
    let said = Statement {
        mark: Mark::Done,
        title: "The CMS may be written",
        text: "Only this page needs the scope cms:write. The layer sends visitors without it to Webflow, \
               where they add it to their earlier permissions, and then back here.",
        link: ("/access", "See what was allowed"),
        small: None,
    };
    statement(&frame, StatusCode::OK, &said)
}

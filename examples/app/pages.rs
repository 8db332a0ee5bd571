//! The layout of every page: plain HTML, one style sheet, and no inline script.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::sessions::User;
use crate::start::App;

const STYLE: &str = include_str!("static/style.css");
const ICON: &str = include_str!("static/icon.svg");

/// The layout around a page's content.
pub(crate) struct Frame<'a> {
    title: &'a str,
    user: Option<&'a User>,
    is_connected: bool,
}

impl<'a> Frame<'a> {
    pub(crate) const fn new(title: &'a str) -> Self {
        Self { title, user: None, is_connected: false }
    }

    /// For a signed-in user: the page has the buttons to sign out.
    pub(crate) fn of(mut self, user: Option<&'a User>, is_connected: bool) -> Self {
        self.user = user;
        self.is_connected = is_connected;
        self
    }

    pub(crate) fn page(&self, content: &Markup) -> Html<String> {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · Site Notes" }
                    link rel="icon" type="image/svg+xml" href="/icon.svg";
                    link rel="stylesheet" href="/style.css";
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        a.brand href="/" { "Site Notes" }
                        @if let Some(user) = self.user { (self.leave(user)) }
                    }
                    main #content tabindex="-1" { (content) }
                }
            }
        };
        Html(page.into_string())
    }

    /// Signing out of the application keeps the grant; disconnecting revokes it at Webflow.
    fn leave(&self, user: &User) -> Markup {
        html! {
            span.who { (user.email) }
            @if self.is_connected {
                form method="post" action="/auth/webflow/logout?revoke=true&return_to=/" {
                    button.quiet { "Disconnect Webflow" }
                }
            }
            form method="post" action="/signout" { button.quiet { "Sign out" } }
        }
    }
}

/// Middleware: the headers of every response that does not have them yet.
pub(crate) async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // Browsers apply `form-action` to the redirects after a form as well, and the sign-in may lead
    // to Webflow.
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'self' {}; frame-ancestors 'none'",
        app.settings.webflow
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

/// A file that is compiled in.
pub(crate) fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")];
    (headers, content).into_response()
}

//! The first page: what the application does, and the next step.

use axum::Extension;
use axum::http::StatusCode;
use axum::response::Html;
use maud::html;
use tower_webflow_auth::WebflowToken;

use crate::pages::Frame;
use crate::sessions::User;

/// Behind the optional layer: it is shown with and without a grant.
pub(crate) async fn show(
    user: Option<Extension<User>>,
    token: Option<WebflowToken>,
) -> Html<String> {
    let user = user.as_deref();
    let is_connected = token.is_some();
    let content = html! {
        h1 { "Notes on your Webflow sites" }
        p { "See all your sites in one place, and what happens on them." }
        @match (user, is_connected) {
            (Some(_), true) => p { a.button href="/dashboard" { "See your sites" } },
            (Some(_), false) => {
                p { "Webflow is not connected." }
                p { a.button href="/install?return_to=/dashboard" { "Connect Webflow" } }
            }
            (None, _) => p {
                a.button href="/login?next=/dashboard" { "Sign in" } " "
                a.button.quiet href="/signup?next=/dashboard" { "Create an account" }
            },
        }
    };
    Frame::new("Home").of(user, is_connected).page(&content)
}

/// For unknown paths.
pub(crate) async fn not_found(user: Option<Extension<User>>) -> (StatusCode, Html<String>) {
    let content = html! {
        h1 { "There is no such page" }
        p { a.button href="/" { "Back to the start" } }
    };
    let frame = Frame::new("Not found").of(user.as_deref(), false);
    (StatusCode::NOT_FOUND, frame.page(&content))
}

//! The panel in Webflow's Designer, and the route that it calls.
//!
//! For development the application serves the panel itself. What you upload to Webflow is this page,
//! `panel.js` and `style.css`, with the application's address in `data-backend`.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde_json::{Value, json};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::{PanelSession, WebflowToken};

use crate::pages::file;
use crate::settings;
use crate::start::App;

/// What the panel shows. The bearer names the site; an ID in the request would prove nothing.
pub(crate) async fn site(
    PanelSession { user, site_id }: PanelSession,
    token: WebflowToken,
) -> Result<Json<Value>, ApiError> {
    let site: Value = token.api().get(["sites", &site_id]).send().await?.json().await?;
    Ok(Json(json!({ "name": site.get("displayName"), "email": user.email })))
}

pub(crate) async fn page(State(app): State<App>) -> Response {
    let origin = &app.settings.origin;
    let webflow = &app.settings.webflow;
    let content = html! {
        h1 { "Site Notes" }
        p #status role="status" { "Signing in …" }
        button #connect type="button" hidden { "Connect Webflow" }
    };
    let designer = designer_script(webflow);
    let page = document(designer.as_deref(), "/panel.js", Some(origin), &content);
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self' {webflow}; connect-src {origin}; \
         img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors {webflow} https://*.design.webflow.com"
    );
    ([(CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

/// The last page of the pop-up window in which the user connects Webflow. It closes itself.
pub(crate) async fn connected() -> Response {
    let content = html! { h1 { "Webflow is connected" } p { "You can close this window." } };
    let page = document(None, "/connected.js", None, &content);
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

fn document(
    designer: Option<&str>,
    script: &str,
    backend: Option<&str>,
    content: &Markup,
) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Site Notes" }
                link rel="icon" type="image/svg+xml" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                @if let Some(designer) = designer { script src=(designer) {} }
                script src=(script) defer {}
            }
            body.panel data-backend=[backend] { main { (content) } }
        }
    };
    Html(page.into_string())
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("static/panel.js"))
}

pub(crate) async fn closing_script() -> Response {
    file("text/javascript; charset=utf-8", "close();\n")
}

/// The script that provides the object `webflow` in a fake's Designer. In Webflow's own it is there
/// without a script.
fn designer_script(webflow: &str) -> Option<String> {
    (webflow != settings::WEBFLOW).then(|| format!("{webflow}/designer.js"))
}

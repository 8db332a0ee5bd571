//! The consent screen's pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::authorize::Asked;
use super::reply::{Reply, reply};
use super::state::State;

const STYLE: &str = include_str!("consent.css");

pub(super) fn consent(state: &State, asked: &Asked, query: &str) -> Reply {
    let app = asked.redirect_to.host_str().unwrap_or_default();
    let content = html! {
        h1 { "Authorize this app?" }
        p { "The app at " strong { (app) } " asks for access to your Webflow sites." }
        form method="post" action="/oauth/authorize" {
            input type="hidden" name="request" value=(query);
            h2 { "It will be able to" }
            ul {
                @for scope in &asked.scopes {
                    li { (in_words(scope.as_str())) " " code { (scope) } }
                }
            }
            fieldset {
                legend { "Sites" }
                @for site in &state.sites {
                    label {
                        input type="checkbox" name="site" value=(site.id) checked;
                        " " (site.display_name)
                    }
                }
            }
            div.actions {
                button name="decision" value="allow" { "Authorize" }
                button.quiet name="decision" value="cancel" { "Cancel" }
            }
        }
    };
    let origin = asked.redirect_to.origin().ascii_serialization();
    // Browsers apply form-action to the redirect that follows the form, too.
    page(StatusCode::OK, "Authorize", &content, &format!("'self' {origin}"))
}

pub(super) fn refused(problem: &str) -> Reply {
    let content = html! {
        h1 { "This authorization link does not work" }
        p { (problem) "." }
        p { "Compare the link with the app's settings: client id, scopes, redirect URIs." }
    };
    page(StatusCode::BAD_REQUEST, "Error", &content, "'none'")
}

/// `resource:action` in words, for people who have never seen a scope.
fn in_words(scope: &str) -> String {
    let (resource, action) = scope.split_once(':').unwrap_or((scope, ""));
    let verb = if action == "write" { "Change" } else { "See" };
    let what = match resource {
        "authorized_user" => "your name and email address",
        "cms" => "CMS collections and items",
        "sites" => "your sites and their settings",
        "workspace" => "your workspace",
        "users" => "site users",
        other => return format!("{verb} {}", other.replace('_', " ")),
    };
    format!("{verb} {what}")
}

fn page(status: StatusCode, title: &str, content: &Markup, form_action: &str) -> Reply {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · stand-in for Webflow" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.note { "Stand-in for Webflow, for tests and demos" }
                    (content)
                }
            }
        }
    };
    let mut reply = reply(status, "text/html; charset=utf-8", page.into_string().into_bytes());
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
         form-action {form_action}; frame-ancestors 'none'"
    );
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    reply
}

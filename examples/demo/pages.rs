//! The demo's pages: plain HTML, no script, one style.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken};

const STYLE: &str = include_str!("style.css");

/// A whole page with its headers.
pub(crate) fn page(status: StatusCode, title: &str, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · tower-webflow-auth demo" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" { "tower-webflow-auth" }
                    nav aria-label="Pages" {
                        a href="/sites" { "Sites" }
                        a href="/cms" { "CMS" }
                        a href="/whoami" { "Who am I" }
                    }
                }
                main { (content) }
            }
        }
    };
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut response = (status, Body::from(page.into_string())).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

pub(crate) fn home(auth: &WebflowAuthLayer, token: Option<&WebflowToken>) -> Markup {
    html! {
        @match token {
            Some(token) => {
                h1 { "Webflow is connected" }
                (grant(token))
                p.actions { a.button href="/sites" { "See your sites" } }
                @if let Some(logout) = auth.logout_path() {
                    div.actions {
                        form method="post" action=(logout) {
                            button.quiet { "Sign out" }
                        }
                        form method="post" action={ (logout) "?revoke=true" } {
                            button.quiet { "Disconnect from Webflow" }
                        }
                    }
                }
            }
            None => {
                h1 { "Connect your Webflow account" }
                p {
                    "You will be asked at Webflow which sites this demo may read. "
                    "You can take that back at any time."
                }
                p.actions {
                    a.button href=(auth.login_path().unwrap_or("/sites")) { "Connect Webflow" }
                }
            }
        }
    }
}

fn grant(token: &WebflowToken) -> Markup {
    html! {
        dl {
            dt { "Allowed" }
            dd {
                ul.tags {
                    @for scope in token.scopes() { li { code { (scope) } } }
                }
            }
            dt { "Sites" }
            dd {
                @if token.sites().is_empty() { "all of the workspace" }
                @else { (token.sites().len()) }
            }
        }
    }
}

pub(crate) fn sites(answer: &Value) -> Markup {
    let sites = answer["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |site: &Value, name: &str| site[name].as_str().unwrap_or_default().to_owned();
    html! {
        h1 { "Your sites" }
        @if sites.is_empty() {
            p { "The connection covers no site." }
        } @else {
            ul.cards {
                @for site in sites {
                    li {
                        span.thumb aria-hidden="true" {
                            (text(site, "displayName").chars().next().unwrap_or('W'))
                        }
                        div {
                            strong { (text(site, "displayName")) }
                            br;
                            small { (text(site, "shortName")) ".webflow.io" }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn cms(token: &WebflowToken) -> Markup {
    html! {
        h1 { "The CMS may be written" }
        p { "This page needs " code { "cms:write" } ", and the connection has it." }
        (grant(token))
    }
}

pub(crate) fn api_error(error: &ApiError) -> Markup {
    html! {
        h1 { "Webflow did not answer as hoped" }
        p { (error.to_string()) }
        p.actions { a.button href="/sites" { "Try again" } }
    }
}

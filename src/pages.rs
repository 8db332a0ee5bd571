//! The one page that the crate shows of its own: what went wrong, and the way on.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const STYLE: &str = include_str!("pages.css");

pub(crate) fn problem(problem: &Problem) -> Markup {
    let (way_on, words) = way_on(problem);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (problem.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (mark(problem))
                    h1 { (problem.title) }
                    @if problem.causes.is_empty() {
                        p.detail { (problem.detail) }
                    } @else {
                        p.detail { "One of these has happened:" }
                        dl {
                            @for (cause, remedy) in problem.causes {
                                div { dt { (cause) } dd { (remedy) } }
                            }
                        }
                    }
                    a href=(way_on) { (words) }
                    p.reference { "Status " (problem.status.as_u16()) ", " code { (problem.slug) } }
                }
            }
        }
    }
}

/// The page's one link. An empty reference leads to the page's own address.
fn way_on(problem: &Problem) -> (&str, &str) {
    match &problem.login_url {
        Some(url) => (url, problem.way_on),
        None if problem.retry_here => ("", "Try again"),
        None => ("/", "Back to the application"),
    }
}

/// A picture for the eye only: the heading says it all.
fn mark(problem: &Problem) -> Markup {
    let calm =
        problem.status == StatusCode::FORBIDDEN || problem.status == StatusCode::UNAUTHORIZED;
    html! {
        div.mark.calm[calm] aria-hidden="true" {
            svg viewBox="0 0 24 24" {
                @if calm {
                    path d="M9 6v12M15 6v12" {}
                } @else {
                    path d="M12 5v9M12 18.5v.5" {}
                }
            }
        }
    }
}

/// No script, no frame, no request of any kind; the one style by its digest.
pub(crate) fn policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    POLICY
        .get_or_init(|| {
            let digest = STANDARD.encode(Sha256::digest(STYLE));
            let policy = format!(
                "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            );
            HeaderValue::try_from(policy)
                .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
        })
        .clone()
}

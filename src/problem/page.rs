//! The only page of this crate: what went wrong, and one link to continue.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::Problem;

const STYLE: &str = include_str!("page.css");

/// Renders the page. In a frame, its link opens a new window: a login cannot complete in a frame.
pub fn problem(problem: &Problem, framed: bool) -> Markup {
    let (href, text) = link(problem);
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
                    a href=(href) target=[framed.then_some("_blank")] rel=[framed.then_some("noopener")] {
                        (text)
                    }
                    p.reference { "Status " (problem.status.as_u16()) ", " code { (problem.kind.as_str()) } }
                }
            }
        }
    }
}

/// The target and text of the page's link. An empty reference is the page's own URL.
fn link(problem: &Problem) -> (&str, &str) {
    match &problem.login_url {
        Some(url) => (url, problem.link_text),
        None if problem.retry_here => ("", "Try again"),
        None => ("/", "Back to the application"),
    }
}

/// A decorative icon, hidden from screen readers.
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

/// The page's `Content-Security-Policy`: no scripts and no requests, and only the inline style, by
/// its digest. Only the page for a frame may be framed.
pub fn policy(framed: bool) -> HeaderValue {
    static STYLE_ONLY: LazyLock<String> = LazyLock::new(|| {
        let digest = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
    });
    let policy = if framed {
        STYLE_ONLY.clone()
    } else {
        format!("{}; frame-ancestors 'none'", *STYLE_ONLY)
    };
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::FailureKind;

    const KIND: FailureKind = FailureKind::Internal;

    fn the_link(problem: &Problem) -> String {
        let page = super::problem(problem, false).into_string();
        let links: Vec<_> = page.split("<a href=\"").skip(1).collect();
        assert_eq!(links.len(), 1, "one link: {page}");
        links[0].split("</a>").next().unwrap().replace("\">", " ")
    }

    #[test]
    fn every_page_has_one_link() {
        let problem = || Problem::new(KIND, StatusCode::BAD_GATEWAY, "Title", "Detail.");
        assert_eq!(the_link(&problem()), "/ Back to the application");
        assert_eq!(the_link(&problem().retry_here(true)), " Try again");
        let elsewhere = problem().retry_here(true).login_url("/login?a=1&b=2").link_text("Start");
        assert_eq!(the_link(&elsewhere), "/login?a=1&amp;b=2 Start");
    }

    #[test]
    fn causes_replace_the_detail_on_the_page_only() {
        let problem = Problem::new(KIND, StatusCode::BAD_REQUEST, "Title", "The detail.")
            .causes(&[("Cookies & co.", "Allow them.")]);
        let page = super::problem(&problem, false).into_string();
        assert!(page.contains("<dt>Cookies &amp; co.</dt><dd>Allow them.</dd>"), "{page}");
        assert!(!page.contains("The detail."), "{page}");
        let json = problem.json();
        assert!(String::from_utf8_lossy(json.body()).contains("The detail."));
    }
}

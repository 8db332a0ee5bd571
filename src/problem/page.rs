//! The only page of this crate: what went wrong, and one link to continue.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::Problem;

const STYLE: &str = include_str!("page.css");

/// The style sheet of all pages, and the policy that allows exactly this one.
#[derive(Debug)]
pub struct Style {
    css: Cow<'static, str>,
    policy: HeaderValue,
    policy_in_frames: HeaderValue,
}

impl Style {
    /// The crate's style, with the application's after it.
    pub fn with(own: &str) -> Self {
        Self::new(format!("{STYLE}{own}").into())
    }

    /// The policy allows no scripts and no requests, and only the inline style, by its digest. Only
    /// the page for a frame may be framed.
    fn new(css: Cow<'static, str>) -> Self {
        let digest = STANDARD.encode(Sha256::digest(&*css));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        );
        let header = |policy: String| {
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
        };
        Self {
            css,
            policy: header(format!("{policy}; frame-ancestors 'none'")),
            policy_in_frames: header(policy),
        }
    }

    pub const fn policy(&self, framed: bool) -> &HeaderValue {
        if framed { &self.policy_in_frames } else { &self.policy }
    }
}

impl Default for Style {
    fn default() -> Self {
        Self::new(STYLE.into())
    }
}

/// How a page is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub style: &'a Style,
    /// The language of its texts (RFC 5646).
    pub lang: &'a str,
    /// Whether it is shown in a frame. Its link then opens a new window, since a login cannot
    /// complete in a frame.
    pub framed: bool,
    pub texts: Option<&'a Texts>,
}

/// Texts in place of the problem's.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    pub title: Option<Cow<'static, str>>,
    pub detail: Option<Cow<'static, str>>,
    pub link: Option<Cow<'static, str>>,
}

impl<'a> Look<'a> {
    pub const fn english(style: &'a Style, framed: bool) -> Self {
        Self { style, lang: "en", framed, texts: None }
    }
}

/// Renders the page.
pub fn problem(problem: &Problem, look: &Look<'_>) -> Markup {
    let Look { style, lang, framed, texts } = *look;
    let own = |of: fn(&Texts) -> &Option<Cow<'static, str>>| texts.and_then(|it| of(it).as_deref());
    let title = own(|it| &it.title).unwrap_or(problem.title);
    let detail = own(|it| &it.detail);
    let (href, text) = link(problem);
    let text = own(|it| &it.link).unwrap_or(text);
    html! {
        (DOCTYPE)
        html lang=(lang) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(&style.css)) }
            }
            body {
                main {
                    (mark(problem))
                    h1 { (title) }
                    @if problem.causes.is_empty() || detail.is_some() {
                        p.detail { (detail.unwrap_or(&problem.detail)) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::FailureKind;

    const KIND: FailureKind = FailureKind::Internal;

    fn the_link(problem: &Problem) -> String {
        let page = super::problem(problem, &Look::english(&Style::default(), false)).into_string();
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
        let page = super::problem(&problem, &Look::english(&Style::default(), false)).into_string();
        assert!(page.contains("<dt>Cookies &amp; co.</dt><dd>Allow them.</dd>"), "{page}");
        assert!(!page.contains("The detail."), "{page}");
        let json = problem.json();
        assert!(String::from_utf8_lossy(json.body()).contains("The detail."));
    }
}

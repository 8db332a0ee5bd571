//! The one page that the crate shows of its own: what went wrong, and the way on.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#171717;--soft:#5b5b5b;--page:#f7f7f8;--card:#fff;\
--line:#e2e2e5;--accent:#146ef5;--on-accent:#fff}\
@media(prefers-color-scheme:dark){:root{--text:#f2f2f2;--soft:#b3b3b8;--page:#131316;\
--card:#1e1e22;--line:#38383f;--accent:#6aa5ff;--on-accent:#0b1a33}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;\
background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:30rem;padding:2rem;background:var(--card);\
border:1px solid var(--line);border-radius:.75rem}\
p.status{margin:0 0 .5rem;color:var(--soft);font-size:.875rem}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.25}\
p{margin:0 0 1.5rem;overflow-wrap:anywhere}\
a{display:inline-block;padding:.625rem 1.125rem;border-radius:.5rem;background:var(--accent);\
color:var(--on-accent);font-weight:600;text-decoration:none}\
a:hover{text-decoration:underline}\
a:focus-visible{outline:3px solid var(--text);outline-offset:2px}";

pub(crate) fn problem(problem: &Problem) -> Markup {
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
                    p.status { "Webflow sign-in, status " (problem.status.as_u16()) }
                    h1 { (problem.title) }
                    p { (problem.detail) }
                    @if let Some(url) = &problem.login_url {
                        a href=(url) { (problem.way_on) }
                    }
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

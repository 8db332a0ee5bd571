//! Who is asking: a browser that navigates, a script, or a prefetch.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};

/// What kind of request it is, which decides between a redirect and a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A browser shows the answer to its user as a page.
    Navigation,
    /// A browser asks ahead; the user may never go there.
    Prefetch,
    /// Everything else: scripts, API clients, forms, sockets.
    Script,
}

impl Caller {
    /// Decides by Fetch Metadata when the browser sends it, else by `Accept`.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        // One pass: this is asked of every request that has a token.
        let mut fetch_metadata = false;
        let mut navigates = false;
        let mut scripted = !is_safe(method);
        for (name, value) in headers {
            match name.as_str() {
                "sec-purpose" | "purpose" | "x-purpose" | "x-moz" if is_ahead(value) => {
                    return Self::Prefetch;
                }
                "sec-fetch-mode" => {
                    fetch_metadata = true;
                    navigates |= equals(value, "navigate");
                }
                "hx-request" => scripted |= equals(value, "true"),
                "upgrade" | "x-requested-with" => scripted = true,
                other => fetch_metadata |= other.starts_with("sec-fetch-"),
            }
        }
        if !scripted && (navigates || !fetch_metadata && accepts_html(headers)) {
            Self::Navigation
        } else {
            Self::Script
        }
    }
}

/// GET and HEAD: methods that a redirect may repeat.
pub(crate) fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn navigates(headers: &HeaderMap) -> bool {
    let fetch_metadata = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    if fetch_metadata { is(headers, "sec-fetch-mode", "navigate") } else { accepts_html(headers) }
}

/// Whether a browser will show the answer as a page, whatever the method was.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    !is_htmx(headers) && navigates(headers)
}

/// Whether the request says that it is not a navigation; one that says nothing may be one.
pub(crate) fn is_surely_no_navigation(headers: &HeaderMap) -> bool {
    is_htmx(headers)
        || headers.contains_key("sec-fetch-mode") && !is(headers, "sec-fetch-mode", "navigate")
}

/// `Sec-Purpose` is the standard's header, `Purpose` and `X-Moz` are what browsers sent before.
pub(crate) fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .into_iter()
        .any(|name| headers.get_all(name).iter().any(is_ahead))
}

pub(crate) fn is_htmx(headers: &HeaderMap) -> bool {
    is(headers, "hx-request", "true")
}

/// Whether the answer should be a page: `Accept` names `text/html` with a weight above zero.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts.next().is_some_and(|it| it.eq_ignore_ascii_case("text/html"));
            let refused =
                parts.filter_map(|parameter| parameter.split_once('=')).any(|(name, weight)| {
                    name.trim().eq_ignore_ascii_case("q")
                        && weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
                });
            html && !refused
        })
}

fn is_ahead(purpose: &HeaderValue) -> bool {
    let purpose = String::from_utf8_lossy(purpose.as_bytes()).to_ascii_lowercase();
    ["prefetch", "prerender", "preview"].iter().any(|ahead| purpose.contains(ahead))
}

fn is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|found| equals(found, value))
}

fn equals(found: &HeaderValue, value: &str) -> bool {
    found.as_bytes().trim_ascii().eq_ignore_ascii_case(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn caller(method: &Method, headers: &[(&'static str, &'static str)]) -> Caller {
        let headers = headers
            .iter()
            .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect();
        Caller::of(method, &headers)
    }

    #[test]
    fn navigations_are_told_from_everything_else() {
        let html = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        let navigate = ("sec-fetch-mode", "navigate");
        for (headers, expected) in [
            (vec![navigate], Caller::Navigation),
            (vec![html], Caller::Navigation),
            (vec![("accept", "TEXT/HTML; q=0.5")], Caller::Navigation),
            (vec![], Caller::Script),
            (vec![("accept", "*/*")], Caller::Script),
            (vec![("accept", "application/json")], Caller::Script),
            (vec![("accept", "text/html;q=0")], Caller::Script),
            (vec![html, ("sec-fetch-mode", "cors")], Caller::Script),
            (vec![html, ("sec-fetch-site", "same-origin")], Caller::Script),
            (vec![navigate, ("hx-request", "true")], Caller::Script),
            (vec![html, ("x-requested-with", "XMLHttpRequest")], Caller::Script),
            (vec![html, ("upgrade", "websocket")], Caller::Script),
            (vec![navigate, ("sec-purpose", "prefetch;prerender")], Caller::Prefetch),
            (vec![html, ("purpose", "prefetch")], Caller::Prefetch),
        ] {
            assert_eq!(caller(&Method::GET, &headers), expected, "{headers:?}");
        }
        assert_eq!(caller(&Method::HEAD, &[navigate]), Caller::Navigation);
        assert_eq!(caller(&Method::POST, &[navigate, html]), Caller::Script);
    }
}

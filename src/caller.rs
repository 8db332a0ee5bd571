//! Who is asking: a browser that navigates, a script, or a prefetch.

use http::header::{ACCEPT, UPGRADE};
use http::{HeaderMap, Method};

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
        if is_prefetch(headers) {
            Self::Prefetch
        } else if is_safe(method)
            && !is_htmx(headers)
            && !headers.contains_key(UPGRADE)
            && !headers.contains_key("x-requested-with")
            && navigates(headers)
        {
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
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        headers.get_all(name).iter().any(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            ["prefetch", "prerender", "preview"].iter().any(|purpose| value.contains(purpose))
        })
    })
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

fn is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|found| found.as_bytes().trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

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

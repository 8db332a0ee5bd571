//! Who is asking: a browser that navigates, a script, or a prefetch.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

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
        let mut marks = Marks::of(method);
        for (name, value) in headers {
            marks.note(name, value);
        }
        marks.caller(headers)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent marks, each of one header")]
/// What is gathered of a request's headers in one pass, which is made over every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    ahead: bool,
    fetch_metadata: bool,
    navigates: bool,
    scripted: bool,
    accepts: bool,
    pub(crate) htmx: bool,
    pub(crate) grpc: bool,
}

impl Marks {
    pub(crate) fn of(method: &Method) -> Self {
        Self {
            ahead: false,
            fetch_metadata: false,
            navigates: false,
            scripted: !is_safe(method),
            accepts: false,
            htmx: false,
            grpc: false,
        }
    }

    pub(crate) fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        match name.as_str() {
            "accept" => self.accepts = true,
            "content-type" => self.grpc |= is_grpc(value),
            "upgrade" | "x-requested-with" => self.scripted = true,
            "hx-request" => self.htmx |= equals(value, "true"),
            "sec-purpose" | "purpose" | "x-purpose" | "x-moz" => self.ahead |= is_ahead(value),
            "sec-fetch-mode" => {
                self.fetch_metadata = true;
                self.navigates |= equals(value, "navigate");
            }
            other => self.fetch_metadata |= other.starts_with("sec-fetch-"),
        }
    }

    /// Whether a browser will show the answer as a page, whatever the method was.
    pub(crate) fn page(self, headers: &HeaderMap) -> bool {
        let by_accept = !self.fetch_metadata && self.accepts;
        !self.htmx && (self.navigates || by_accept && accepts_html(headers))
    }

    pub(crate) fn caller(self, headers: &HeaderMap) -> Caller {
        if self.ahead {
            Caller::Prefetch
        } else if !self.scripted && self.page(headers) {
            Caller::Navigation
        } else {
            Caller::Script
        }
    }
}

/// Whether the content type is gRPC's, whose clients look for a status of its own.
pub(crate) fn is_grpc(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/grpc")
}

/// GET and HEAD: methods that a redirect may repeat.
pub(crate) fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether a browser will show the answer as a page, whatever the method was.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let mut marks = Marks::of(&Method::GET);
    for (name, value) in headers {
        marks.note(name, value);
    }
    marks.page(headers)
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

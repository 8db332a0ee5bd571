//! The origins of panels, and their CORS headers (Fetch Standard, *CORS protocol*).
//!
//! CORS does not reject requests: other origins get a response, too, but the browser hides it from
//! the page. Credentials are never allowed, since a bearer needs none.

use std::sync::{Arc, LazyLock};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::problem::{Answer, answer};
use crate::webflow::is_https_or_loopback;

/// How long a browser may cache a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");

/// The origins of this application's panels.
pub struct Origins(Vec<Reader>);

impl Origins {
    pub fn new(origins: Vec<HeaderValue>) -> Self {
        let readers = origins.into_iter().map(|origin| {
            // Only the first clone of a value allocates, so none of a response's does.
            drop(origin.clone());
            Reader(Arc::new(Some(origin)))
        });
        Self(readers.collect())
    }

    /// Who may read the response to a request with these headers.
    pub fn reader(&self, headers: &HeaderMap) -> Reader {
        let mut sent = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (sent.next(), sent.next()) else { return Reader::nobody() };
        let listed = self.0.iter().find(|reader| (*reader.0).as_ref() == Some(origin));
        listed.cloned().unwrap_or_else(Reader::nobody)
    }

    /// The response to a preflight of a listed origin, for a request with a bearer or to the panel
    /// path.
    pub fn preflight(&self, headers: &HeaderMap, is_panel_path: bool) -> Option<Answer> {
        let reader = self.reader(headers);
        (*reader.0).as_ref()?;
        let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        Method::from_bytes(method.as_bytes()).ok()?;
        if !is_panel_path && !asks_for_authorization(headers) {
            return None;
        }
        let mut answer = answer(StatusCode::NO_CONTENT, "");
        let own = answer.headers_mut();
        own.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        own.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        own.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        reader.add_to(own);
        Some(answer)
    }
}

fn asks_for_authorization(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let mut names = values.iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"authorization"))
}

/// The panel that may read a response, if its origin is listed. A pointer, even inside an `Option`:
/// every admitted request has room for one.
#[derive(Debug, Clone)]
pub struct Reader(Arc<Option<HeaderValue>>);

impl Reader {
    pub fn nobody() -> Self {
        static NOBODY: LazyLock<Reader> = LazyLock::new(|| Reader(Arc::new(None)));
        NOBODY.clone()
    }

    /// Adds the missing headers. Headers set by the application stay.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        if !varies_by_origin(headers) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &*self.0
            && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let values = headers.get_all(VARY);
    let mut names = values.iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    names.any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"origin")
    })
}

/// Parses an origin in the form that browsers send. The error is a predicate of the text.
pub fn parse(text: &str) -> Result<HeaderValue, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not an origin")?;
    if text.contains('*') {
        return Err("matches more than one origin");
    }
    if !is_https_or_loopback(&url) {
        return Err("is not https");
    }
    if url.origin().ascii_serialization() != text {
        return Err("is not written as browsers send it");
    }
    HeaderValue::from_str(text).map_err(|_| "is not an origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: &str = "https://abc.webflow-ext.com";

    fn origins() -> Origins {
        Origins::new(vec![parse("http://localhost:1337").unwrap(), parse(PANEL).unwrap()])
    }

    fn headers<'a>(pairs: impl IntoIterator<Item = (http::HeaderName, &'a str)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn b4_origins_match_exactly() {
        let reader = |sent: &[&str]| {
            let reader = origins().reader(&headers(sent.iter().map(|sent| (ORIGIN, *sent))));
            (*reader.0).clone()
        };
        assert_eq!(reader(&[PANEL]).unwrap(), PANEL);
        assert_eq!(reader(&["http://localhost:1337"]).unwrap(), "http://localhost:1337");
        for other in [
            "null",
            "",
            "*",
            "https://abc.webflow-ext.com.evil.example",
            "https://evil-abc.webflow-ext.com",
            "https://abc.webflow-ext.co",
            "https://ABC.webflow-ext.com",
            "HTTPS://abc.webflow-ext.com",
            "https://abc.webflow-ext.com/",
            "https://abc.webflow-ext.com:443",
            "http://abc.webflow-ext.com",
            "http://localhost:13370",
            "http://localhost",
        ] {
            assert_eq!(reader(&[other]), None, "{other}");
        }
        assert_eq!(reader(&[PANEL, PANEL]), None, "a repeated header");
        assert_eq!(reader(&[]), None);
    }

    #[test]
    fn b4_preflights_are_for_listed_origins_and_bearers() {
        let method = (ACCESS_CONTROL_REQUEST_METHOD, "PUT");
        let bearer = (ACCESS_CONTROL_REQUEST_HEADERS, "content-type, Authorization");
        let asked = |pairs: &[_], path| origins().preflight(&headers(pairs.to_vec()), path);
        let answer = asked(&[(ORIGIN, PANEL), method.clone(), bearer.clone()], false).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let sent = |name: &str| answer.headers().get(name).map(|it| it.to_str().unwrap());
        assert_eq!(sent("access-control-allow-origin"), Some(PANEL));
        assert_eq!(sent("access-control-allow-methods"), Some("PUT"));
        assert_eq!(sent("access-control-allow-headers"), Some("authorization, content-type"));
        assert_eq!(sent("access-control-allow-credentials"), None);
        assert_eq!(sent("vary"), Some("Origin"));
        assert!(asked(&[(ORIGIN, PANEL), method.clone()], true).is_some());
        let other = (ACCESS_CONTROL_REQUEST_HEADERS, "x-authorization, content-type");
        for not in [
            vec![(ORIGIN, PANEL), method.clone()],
            vec![(ORIGIN, PANEL), method.clone(), other],
            vec![(ORIGIN, PANEL), bearer.clone()],
            vec![(ORIGIN, "https://evil.example"), method.clone(), bearer.clone()],
            vec![(ORIGIN, PANEL), (ACCESS_CONTROL_REQUEST_METHOD, "P UT"), bearer.clone()],
            vec![method, bearer],
        ] {
            assert!(asked(&not, false).is_none(), "{not:?}");
        }
    }

    #[test]
    fn b4_headers_of_the_application_are_kept() {
        let listed = origins().reader(&headers([(ORIGIN, PANEL)]));
        let mut own = headers([(VARY, "Accept"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")]);
        listed.add_to(&mut own);
        let vary: Vec<_> = own.get_all(VARY).iter().collect();
        assert_eq!(vary, ["Accept", "Origin"]);
        let allowed: Vec<_> = own.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
        assert_eq!(allowed, ["*"]);
        for varies in ["*", "accept, ORIGIN"] {
            let mut own = headers([(VARY, varies)]);
            listed.add_to(&mut own);
            assert_eq!(own.get_all(VARY).iter().count(), 1, "{varies}");
        }
        let mut other = HeaderMap::new();
        origins().reader(&HeaderMap::new()).add_to(&mut other);
        assert_eq!(other.len(), 1, "an unlisted origin gets Vary alone");
    }

    #[test]
    fn b4_configured_origins_must_have_the_form_that_browsers_send() {
        assert!(parse("https://abc.webflow-ext.com:8443").is_ok());
        for wrong in [
            "",
            "*",
            "null",
            "abc.webflow-ext.com",
            "https://abc.webflow-ext.com/",
            "https://abc.webflow-ext.com/panel",
            "https://abc.webflow-ext.com:443",
            "https://ABC.webflow-ext.com",
            "https://*.webflow-ext.com",
            "http://abc.webflow-ext.com",
            "https://u:p@abc.webflow-ext.com",
            " https://abc.webflow-ext.com",
            "file:///x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

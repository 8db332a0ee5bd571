//! One pass over a request's head, for everything the crate needs from it.
//!
//! A request is a *navigation* if a browser will show the response as a page. Where the browser
//! sends Fetch Metadata, `Sec-Fetch-Mode` decides. Otherwise a request that accepts HTML counts,
//! unless it declares that a script made it (`X-Requested-With: XMLHttpRequest`, `Upgrade`). Other
//! `X-Requested-With` values do not count, because Android WebViews send them with navigations.

use http::header::{ACCEPT, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::cookies::{CookiePolicy, Found};

/// The kind of a request, which decides between a redirect and a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A browser shows the response to its user as a page.
    Navigation,
    /// A browser fetches ahead; the user may never visit the page.
    Prefetch,
    /// Everything else: scripts, API clients, form submissions, sockets.
    Script,
}

/// A request's method, path and headers, read once.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'r> {
    path: Option<&'r PathAndQuery>,
    headers: &'r HeaderMap,
    marks: Marks,
    /// Whether the response should be a page, if already known.
    page: Option<bool>,
    cookies: Found<'r>,
    /// `Referer` and `HX-Current-URL`.
    referer: Option<&'r HeaderValue>,
    htmx_url: Option<&'r HeaderValue>,
}

#[expect(clippy::struct_excessive_bools, reason = "independent flags, most from one header")]
#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    /// GET, and GET or HEAD.
    get: bool,
    safe: bool,
    prefetch: bool,
    fetch_metadata: bool,
    navigates: bool,
    scripted: bool,
    accepts: bool,
    htmx: bool,
    grpc: bool,
    framed: bool,
}

impl Marks {
    fn note(&mut self, name: &str, value: &HeaderValue) {
        // The initial rules out most names without comparing strings.
        match (name.as_bytes().first().unwrap_or(&0), name) {
            (b'a', "accept") => self.accepts = true,
            (b'c', "content-type") => {
                self.grpc |= value.as_bytes().starts_with(b"application/grpc");
            }
            (b'u', "upgrade") => self.scripted = true,
            (b'h', "hx-request") => self.htmx |= equals(value, "true"),
            (b's', "sec-fetch-mode") => {
                self.fetch_metadata = true;
                self.navigates |= equals(value, "navigate");
            }
            (b's', "sec-fetch-dest") => {
                self.fetch_metadata = true;
                self.framed |= is_frame(value);
            }
            // `Sec-Purpose` is the standard; browsers used the others before.
            (b's', "sec-purpose") | (b'p', "purpose") | (b'x', "x-purpose" | "x-moz") => {
                self.prefetch |= is_prefetch(value);
            }
            (b'x', "x-requested-with") => self.scripted |= equals(value, "XMLHttpRequest"),
            (b's', _) => self.fetch_metadata |= name.starts_with("sec-fetch-"),
            _ => {}
        }
    }
}

impl<'r> RequestHead<'r> {
    pub fn read(
        method: &'r Method,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        policy: &CookiePolicy,
    ) -> Self {
        let mut marks =
            Marks { get: method == Method::GET, safe: is_safe(method), ..Marks::default() };
        let mut cookies = Found::default();
        let (mut referer, mut htmx_url) = (None, None);
        for (name, value) in headers {
            if *name == COOKIE {
                cookies.note(value, policy);
                continue;
            }
            match name.as_str() {
                "referer" => referer = Some(value),
                "hx-current-url" => htmx_url = Some(value),
                name => marks.note(name, value),
            }
        }
        let path = uri.path_and_query();
        Self { path, headers, marks, page: None, cookies, referer, htmx_url }
    }

    pub fn kind(&self) -> RequestKind {
        if self.marks.prefetch {
            RequestKind::Prefetch
        } else if self.is_safe() && self.wants_page() && !self.marks.framed {
            RequestKind::Navigation
        } else {
            RequestKind::Script
        }
    }

    /// Whether a browser shows the response as a page, whatever the method: form submissions
    /// navigate, too.
    pub fn wants_page(&self) -> bool {
        self.page.unwrap_or_else(|| {
            let Marks { prefetch, fetch_metadata, navigates, scripted, accepts, htmx, .. } =
                self.marks;
            let by_accept =
                || !fetch_metadata && !scripted && accepts && accepts_html(self.headers);
            !htmx && !prefetch && (navigates || by_accept())
        })
    }

    /// Whether the request may be a navigation: true unless it declares otherwise.
    pub fn may_navigate(&self) -> bool {
        !self.marks.htmx && (self.marks.navigates || !self.headers.contains_key("sec-fetch-mode"))
    }

    /// Whether a browser loads a page in order to show it.
    pub fn is_page_load(&self) -> bool {
        self.marks.get && self.kind() == RequestKind::Navigation
    }

    /// Whether the method is GET or HEAD, which a redirect may repeat.
    pub const fn is_safe(&self) -> bool {
        self.marks.safe
    }

    pub const fn is_htmx(&self) -> bool {
        self.marks.htmx
    }

    /// Whether a gRPC client sent it, which expects a gRPC status.
    pub const fn is_grpc(&self) -> bool {
        self.marks.grpc
    }

    pub const fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    pub const fn cookies(&self) -> &Found<'r> {
        &self.cookies
    }

    /// The path with its query.
    pub fn path(&self) -> &'r str {
        self.path.map_or("/", PathAndQuery::as_str)
    }

    /// The query, or an empty string.
    pub fn query(&self) -> &'r str {
        self.path.and_then(PathAndQuery::query).unwrap_or_default()
    }

    /// Whether the response is shown in a frame, where a login cannot complete.
    pub const fn is_framed(&self) -> bool {
        self.marks.framed
    }

    /// Whether a browser says that a script made the request.
    pub const fn is_browser_script(&self) -> bool {
        self.marks.fetch_metadata && !self.marks.navigates
    }

    /// The URL of the page that the request comes from: `HX-Current-URL` for HTMX, otherwise
    /// `Referer` for scripts.
    fn page_url(&self) -> Option<&'r HeaderValue> {
        if self.marks.htmx {
            self.htmx_url
        } else {
            self.referer.filter(|_| self.is_browser_script())
        }
    }

    /// The path of the page that the request comes from, if that page has this origin.
    pub fn page(&self, origin: &str) -> Option<String> {
        let page: Uri = self.page_url()?.to_str().ok()?.parse().ok()?;
        let its_origin = format!("{}://{}", page.scheme_str()?, page.authority()?);
        let path = page.path_and_query().map_or("/", PathAndQuery::as_str);
        (its_origin == origin).then(|| path.to_owned())
    }

    /// Saves what a later response to this request may need.
    pub fn save(&self) -> SavedHead {
        let page_url = self.page_url();
        let kept = (self.cookies.flows || page_url.is_some()).then(|| {
            let cookies = self.headers.get_all(COOKIE).iter().filter(|_| self.cookies.flows);
            let cookies = cookies.map(|value| (COOKIE, value.clone())).collect();
            Box::new(Kept { cookies, page_url: page_url.cloned() })
        });
        SavedHead { path: self.path.cloned(), marks: self.marks, page: self.wants_page(), kept }
    }
}

/// A request's head after the request is gone. Saved for every authenticated request and almost
/// never used, so it keeps headers only where a response may depend on them.
pub struct SavedHead {
    path: Option<PathAndQuery>,
    marks: Marks,
    page: bool,
    kept: Option<Box<Kept>>,
}

struct Kept {
    /// The cookies, if the browser may have open flows.
    cookies: HeaderMap,
    page_url: Option<HeaderValue>,
}

impl SavedHead {
    /// Like [`RequestHead::wants_page`].
    pub const fn wants_page(&self) -> bool {
        self.page
    }

    pub fn head(&self) -> RequestHead<'_> {
        static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
        let kept = self.kept.as_deref();
        let page_url = kept.and_then(|kept| kept.page_url.as_ref());
        RequestHead {
            path: self.path.as_ref(),
            headers: kept.map_or(&NONE, |kept| &kept.cookies),
            marks: self.marks,
            page: Some(self.page),
            cookies: Found::default(),
            referer: page_url,
            htmx_url: page_url,
        }
    }
}

/// Whether the method is GET or HEAD, which a redirect may repeat.
pub fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether `Accept` names `text/html` with a weight above zero.
fn accepts_html(headers: &HeaderMap) -> bool {
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

/// Whether a navigation's destination is not a window.
fn is_frame(dest: &HeaderValue) -> bool {
    matches!(dest.as_bytes(), b"iframe" | b"frame" | b"embed" | b"object" | b"fencedframe")
}

fn is_prefetch(purpose: &HeaderValue) -> bool {
    let purpose = String::from_utf8_lossy(purpose.as_bytes()).to_ascii_lowercase();
    ["prefetch", "prerender", "preview"].iter().any(|ahead| purpose.contains(ahead))
}

fn equals(found: &HeaderValue, value: &str) -> bool {
    let (found, value) = (found.as_bytes(), value.as_bytes());
    found == value || found.trim_ascii().eq_ignore_ascii_case(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    static POLICY: CookiePolicy = CookiePolicy::new(true);

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    fn kind(method: &Method, pairs: &[(&'static str, &'static str)]) -> RequestKind {
        let (uri, headers) = (Uri::from_static("/a?b"), headers(pairs));
        let head = RequestHead::read(method, &uri, &headers, &POLICY);
        let saved = head.save();
        let again = saved.head();
        let summary = |head: &RequestHead<'_>| (head.kind(), head.wants_page(), head.is_htmx());
        assert_eq!(summary(&head), summary(&again), "a saved head answers alike");
        assert_eq!((again.path(), again.query()), ("/a?b", "b"));
        head.kind()
    }

    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");

    #[test]
    fn navigations_are_recognized() {
        for (pairs, expected) in [
            (vec![NAVIGATE], RequestKind::Navigation),
            (vec![HTML], RequestKind::Navigation),
            (vec![("accept", "TEXT/HTML; q=0.5")], RequestKind::Navigation),
            (vec![], RequestKind::Script),
            (vec![("accept", "*/*")], RequestKind::Script),
            (vec![("accept", "application/json")], RequestKind::Script),
            (vec![("accept", "text/html;q=0")], RequestKind::Script),
            (vec![HTML, ("sec-fetch-mode", "cors")], RequestKind::Script),
            (vec![HTML, ("sec-fetch-site", "same-origin")], RequestKind::Script),
            (vec![NAVIGATE, ("hx-request", "true")], RequestKind::Script),
            (vec![HTML, ("upgrade", "websocket")], RequestKind::Script),
            (vec![HTML, ("sec-fetch-mode", "websocket")], RequestKind::Script),
            (vec![NAVIGATE, ("sec-purpose", "prefetch;prerender")], RequestKind::Prefetch),
            (vec![HTML, ("purpose", "prefetch")], RequestKind::Prefetch),
        ] {
            assert_eq!(kind(&Method::GET, &pairs), expected, "{pairs:?}");
        }
        assert_eq!(kind(&Method::HEAD, &[NAVIGATE]), RequestKind::Navigation);
        assert_eq!(kind(&Method::POST, &[NAVIGATE, HTML]), RequestKind::Script);
    }

    #[test]
    fn c14_only_xml_http_request_without_fetch_metadata_is_a_script() {
        let webview = ("x-requested-with", "com.facebook.katana");
        let xhr = ("x-requested-with", "xmlhttprequest");
        for (pairs, expected) in [
            (vec![HTML, NAVIGATE, webview], RequestKind::Navigation),
            (vec![HTML, webview], RequestKind::Navigation),
            (vec![HTML, xhr], RequestKind::Script),
            (vec![HTML, NAVIGATE, xhr], RequestKind::Navigation),
            (vec![webview], RequestKind::Script),
        ] {
            assert_eq!(kind(&Method::GET, &pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_submitted_form_wants_a_page() {
        let (uri, form, fetch) = (Uri::from_static("/"), headers(&[NAVIGATE]), headers(&[]));
        let wants_page =
            |headers| RequestHead::read(&Method::POST, &uri, headers, &POLICY).wants_page();
        assert!(wants_page(&form));
        assert!(!wants_page(&fetch));
    }

    #[test]
    fn the_page_of_htmx_counts_on_this_origin_only() {
        let uri = Uri::from_static("/part");
        let page = |url: &'static str, origin: &str| {
            let headers = headers(&[("hx-request", "true"), ("hx-current-url", url)]);
            RequestHead::read(&Method::GET, &uri, &headers, &POLICY).page(origin)
        };
        let url = "https://app.example.com/page?a=1#top";
        assert_eq!(page(url, "https://app.example.com").as_deref(), Some("/page?a=1"));
        assert_eq!(page(url, "https://other.example.com"), None);
    }
}

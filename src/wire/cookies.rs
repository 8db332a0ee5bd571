//! Request cookies, and the attributes of the cookies that are set.
//!
//! Both kinds of cookie have `Path=/; HttpOnly; SameSite=Lax`. With https they also have `Secure`
//! and the `__Host-` prefix, which prevents other hosts of the domain from setting them (RFC
//! 6265bis section 4.1.3.2). `Lax` rather than `Strict`, because the callback is a navigation from
//! another site.

use std::borrow::Cow;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::memchr;

/// Names and attributes of the cookies, which depend on the app's name and on whether the
/// application uses https.
#[derive(Debug, Clone)]
pub struct CookiePolicy {
    secure: bool,
    in_frames: bool,
    session_name: Cow<'static, str>,
    flow_prefix: Cow<'static, str>,
}

impl CookiePolicy {
    pub const fn new(secure: bool) -> Self {
        let (session, flow) = if secure {
            ("__Host-webflow-session", "__Host-webflow-flow-")
        } else {
            ("webflow-session", "webflow-flow-")
        };
        Self {
            secure,
            in_frames: false,
            session_name: Cow::Borrowed(session),
            flow_prefix: Cow::Borrowed(flow),
        }
    }

    /// The names of a named app's cookies. Dots keep them apart from the nameless app's, whose
    /// prefix for flows ends in a hyphen.
    pub fn named(mut self, app: &str) -> Self {
        let host = if self.secure { "__Host-" } else { "" };
        self.session_name = format!("{host}webflow.{app}.session").into();
        self.flow_prefix = format!("{host}webflow.{app}.flow-").into();
        self
    }

    /// Allows cookies in frames on other sites, partitioned by the embedding site.
    pub const fn in_frames(mut self, in_frames: bool) -> Self {
        self.in_frames = in_frames;
        self
    }

    /// The other variant of these cookies, with or without `Partitioned`, which browsers store
    /// separately. Plain http has only one variant.
    pub fn other_form(&self) -> Option<Self> {
        self.secure.then(|| Self { in_frames: !self.in_frames, ..self.clone() })
    }

    /// Whether the cookies are for https only.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether requests from other sites carry the cookies.
    pub const fn is_cross_site(&self) -> bool {
        self.in_frames
    }

    pub fn session_name(&self) -> &str {
        &self.session_name
    }

    pub fn flow_prefix(&self) -> &str {
        &self.flow_prefix
    }

    /// A `Set-Cookie` value, or `None` if the value is not valid in a header.
    pub fn set(&self, name: &str, value: &str, max_age: Duration) -> Option<HeaderValue> {
        self.header(Cookie::new(name, value), max_age)
    }

    /// The `Set-Cookie` value that deletes the cookie. Browsers require the attributes it was set
    /// with.
    pub fn remove(&self, name: &str) -> Option<HeaderValue> {
        self.header(Cookie::new(name, ""), Duration::ZERO)
    }

    fn header(&self, mut cookie: Cookie<'_>, max_age: Duration) -> Option<HeaderValue> {
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        if self.secure {
            cookie.set_secure(true);
        }
        if self.in_frames {
            cookie.set_same_site(SameSite::None);
            cookie.set_partitioned(true);
        }
        let secs = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        cookie.set_max_age(cookie::time::Duration::seconds(secs));
        let mut value = HeaderValue::from_str(&cookie.to_string()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The request's cookies whose names start with `prefix`, in the order sent.
///
/// A name may occur more than once, for example if another host of the domain has set it too; the
/// caller takes the first that its key opens. Cookies with other names are skipped unparsed.
pub fn with_prefix<'h>(
    headers: &'h HeaderMap,
    prefix: &str,
) -> impl Iterator<Item = (&'h str, &'h str)> {
    pairs(headers)
        .filter(move |pair| pair.starts_with(prefix.as_bytes()))
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .filter_map(|pair| {
            let cookie = Cookie::parse(pair).ok()?;
            Some((cookie.name_raw()?, cookie.value_raw()?))
        })
}

/// The values of the request's cookies with exactly this name, in the order sent.
pub fn named<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    with_prefix(headers, name).filter(move |(found, _)| *found == name).map(|(_, value)| value)
}

/// What one pass over the cookie headers finds, without parsing any cookie.
#[derive(Debug, Default, Clone, Copy)]
pub struct Found<'h> {
    /// The first value under the session cookie's name, even if it is invalid: every lookup must
    /// find the same one of two valid sessions.
    pub session: Option<&'h [u8]>,
    /// Whether a cookie starts with the session cookie's name but continues unusually (such as a
    /// space before `=`), which needs [`named`].
    pub needs_parsing: bool,
    /// Whether a cookie may be a flow cookie.
    pub flows: bool,
}

impl<'h> Found<'h> {
    pub fn note(&mut self, header: &'h HeaderValue, policy: &CookiePolicy) {
        for pair in Pairs(Some(header.as_bytes())) {
            if let Some(rest) = pair.strip_prefix(policy.session_name().as_bytes()) {
                match rest.strip_prefix(b"=") {
                    // Several values under the same name need their signatures checked.
                    Some(_) if self.session.is_some() => self.needs_parsing = true,
                    Some(value) => self.session = Some(value),
                    None => self.needs_parsing = true,
                }
            } else {
                self.flows |= pair.starts_with(policy.flow_prefix().as_bytes());
            }
        }
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|header| Pairs(Some(header.as_bytes())))
}

/// Iterates over the parts of one header between semicolons.
struct Pairs<'h>(Option<&'h [u8]>);

impl<'h> Iterator for Pairs<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.0?;
        let end = memchr(b';', rest);
        let (pair, rest) = match end.and_then(|end| rest.split_at_checked(end)) {
            Some((pair, rest)) => (pair, rest.split_first().map(|(_, rest)| rest)),
            None => (rest, None),
        };
        self.0 = rest;
        Some(pair.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        values.iter().map(|value| (COOKIE, HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn c1_cookies_have_the_documented_attributes() {
        let lifetime = Duration::from_secs(900);
        let set = CookiePolicy::new(true).set("__Host-x", "v", lifetime).unwrap();
        assert_eq!(set, "__Host-x=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=900");
        let removed = CookiePolicy::new(false).remove("x").unwrap();
        let framed =
            CookiePolicy::new(true).in_frames(true).set("__Host-x", "v", lifetime).unwrap();
        assert_eq!(
            framed,
            "__Host-x=v; HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Max-Age=900"
        );
        assert_eq!(removed, "x=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }

    #[test]
    fn c2_one_pass_finds_the_first_session_or_defers_to_the_parser() {
        for (sent, session, needs_parsing, flows) in [
            (&b"a=1; webflow-session=v; webflow-session=w"[..], Some(&b"v"[..]), true, false),
            (b"webflow-session = v; webflow-session=w", Some(b"w"), true, false),
            (b"webflow-session-of-others=1", None, true, false),
            (b"webflow-flow-abc=1; xwebflow-session=v", None, false, true),
            (b"webflow-session", None, true, false),
            (b"a=webflow-session=v", None, false, false),
        ] {
            let header = HeaderValue::from_bytes(sent).unwrap();
            let mut found = Found::default();
            found.note(&header, &CookiePolicy::new(false));
            assert_eq!(
                (found.session, found.needs_parsing, found.flows),
                (session, needs_parsing, flows),
                "{header:?}"
            );
        }
    }

    #[test]
    fn c1_https_names_have_the_host_prefix_and_debug_hides_values() {
        let (https, http) = (CookiePolicy::new(true), CookiePolicy::new(false));
        for name in [https.session_name(), https.flow_prefix()] {
            assert!(name.starts_with("__Host-webflow-"), "{name}");
        }
        let named = https.clone().named("staging");
        assert_eq!(named.session_name(), "__Host-webflow.staging.session");
        assert_eq!(named.flow_prefix(), "__Host-webflow.staging.flow-");
        assert_eq!(http.clone().named("a").session_name(), "webflow.a.session");
        assert_eq!(http.session_name(), "webflow-session");
        let set = https.set("n", "secret", Duration::from_secs(1)).unwrap();
        assert!(!format!("{set:?}").contains("secret"));
    }

    #[test]
    fn c3_malformed_cookies_are_skipped_and_all_headers_are_read() {
        let headers = headers(&[
            b"a=1; noequals; =x;; x=first; y=\"2\"; \xff=1; xx=no",
            b"x = spaced ;x=last",
        ]);
        let found: Vec<_> = named(&headers, "x").collect();
        assert_eq!(found, ["first", "spaced", "last"]);
    }

    proptest! {
        #[test]
        fn no_cookie_header_makes_the_parser_fail(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(COOKIE, value)]);
                for (name, value) in with_prefix(&headers, "w") {
                    prop_assert!(name.starts_with('w'));
                    prop_assert!(!value.contains(';'));
                }
            }
        }
    }
}

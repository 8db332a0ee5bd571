//! Renews the session cookie on the response to a page load.

use http::header::{CACHE_CONTROL, EXPIRES, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Sets the cookie, unless a shared cache may store the response or the handler has set the cookie.
pub fn set_session<B>(response: &mut Response<B>, cookie: HeaderValue) {
    let unfit =
        matches!(response.status(), StatusCode::SWITCHING_PROTOCOLS | StatusCode::NOT_MODIFIED);
    let set = response.headers().get_all(SET_COOKIE);
    let is_set = set.iter().any(|other| name(other) == name(&cookie));
    if unfit || is_set || may_be_shared(response.headers()) {
        return;
    }
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    headers.append(SET_COOKIE, cookie);
}

fn name(cookie: &HeaderValue) -> Option<&[u8]> {
    cookie.as_bytes().split(|byte| *byte == b'=').next()
}

/// Whether a shared cache may store the response (RFC 9111 section 3).
fn may_be_shared(headers: &HeaderMap) -> bool {
    if !headers.contains_key(CACHE_CONTROL) {
        return headers.contains_key(EXPIRES);
    }
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> = values
        .flat_map(|value| value.split(','))
        .map(|it| it.split('=').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|it| it == name);
    let private = has("private") || has("no-store") || has("no-cache");
    has("public") || has("s-maxage") || has("max-age") && !private
}

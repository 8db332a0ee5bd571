//! The crate's own paths, and the path that the client requested.

use http::request::Parts;
use http::{Extensions, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// Everything but letters, digits and `-._~` (RFC 3986 section 2.3).
pub const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The paths of the crate's endpoints.
#[derive(Debug, Clone)]
pub struct Paths {
    pub callback: String,
    pub login: Option<String>,
    pub logout: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Callback,
    Login,
    Logout,
}

impl Paths {
    /// The endpoint at this path, compared byte for byte. Merely equivalent paths belong to the
    /// application.
    pub fn endpoint(&self, path: &str) -> Option<Endpoint> {
        if path == self.callback {
            Some(Endpoint::Callback)
        } else if Some(path) == self.login.as_deref() {
            Some(Endpoint::Login)
        } else if Some(path) == self.logout.as_deref() {
            Some(Endpoint::Logout)
        } else {
            None
        }
    }
}

/// Whether the text is a single DNS label in lower case.
pub fn is_label(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(known)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The URI that the client requested, before a nested axum router removed its prefix.
pub fn original_uri(parts: &Parts) -> &Uri {
    original(&parts.extensions, &parts.uri)
}

/// Like [`original_uri`], for a request that is not split into parts.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "only axum removes prefixes"))]
pub fn original<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    uri
}

//! Paths: the crate's own, and the one that the client asked for.

use http::request::Parts;
use http::{Extensions, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// Everything but letters, digits and `-._~` (RFC 3986 section 2.3).
pub const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the crate's own endpoints are.
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
    /// The endpoint at that path, compared byte for byte: a path that is merely equivalent is
    /// the application's to answer.
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

/// The address that the client asked for, where a nested axum router has removed its prefix.
pub fn original_uri(parts: &Parts) -> &Uri {
    original(&parts.extensions, &parts.uri)
}

/// Like [`original_uri`], for a request that is not taken apart.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "the prefix is axum's"))]
pub fn original<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    uri
}

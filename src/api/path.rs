//! Request paths that an untrusted ID cannot redirect.

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::ApiError;
use crate::wire::paths::COMPONENT;

/// The path of a call to Webflow's Data API.
///
/// - An array or slice of segments, `["sites", site_id, "pages"]`, is relative to `/v2`. Each segment
///   is percent-encoded. Use this form for untrusted IDs.
/// - A string starts with a slash, includes `/v2` or `/beta`, and may have a query.
///
/// An empty segment, `.` or `..` is [`ApiError::InvalidRequest`].
///
/// ```no_run
/// use serde_json::Value;
/// use tower_webflow_auth::{WebflowToken, api::ApiError};
///
/// async fn pages(token: WebflowToken, site_id: &str) -> Result<Value, ApiError> {
///     token.api().get(["sites", site_id, "pages"]).send().await?.json().await
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the path of an API call",
    label = "not a path",
    note = "give the segments as an array of `&str`: `[\"sites\", site_id, \"pages\"]`",
    note = "or give the whole path as a `&str` or `String`: `\"/v2/sites\"`"
)]
pub trait ApiPath: sealed::Path {}

#[diagnostic::do_not_recommend]
impl<P: sealed::Path> ApiPath for P {}

pub mod sealed {
    use super::ApiError;

    #[expect(unnameable_types, reason = "nobody else implements it")]
    pub trait Path {
        /// The path as it is sent, with its query.
        fn into_path(self) -> Result<String, ApiError>;
    }
}

impl sealed::Path for &str {
    fn into_path(self) -> Result<String, ApiError> {
        checked(self).map(|()| self.to_owned())
    }
}

impl sealed::Path for String {
    fn into_path(self) -> Result<String, ApiError> {
        checked(&self).map(|()| self)
    }
}

impl sealed::Path for &String {
    fn into_path(self) -> Result<String, ApiError> {
        self.as_str().into_path()
    }
}

impl sealed::Path for &[&str] {
    fn into_path(self) -> Result<String, ApiError> {
        if self.is_empty() {
            return Err(ApiError::InvalidRequest("the path has no segment".into()));
        }
        let mut path = String::from("/v2");
        for part in self {
            if ["", ".", ".."].contains(part) {
                return Err(ApiError::InvalidRequest(
                    "a segment of the path is empty, . or ..".into(),
                ));
            }
            path.push('/');
            path.extend(utf8_percent_encode(part, COMPONENT));
        }
        Ok(path)
    }
}

impl<const N: usize> sealed::Path for [&str; N] {
    fn into_path(self) -> Result<String, ApiError> {
        self.as_slice().into_path()
    }
}

impl<const N: usize> sealed::Path for &[&str; N] {
    fn into_path(self) -> Result<String, ApiError> {
        self.as_slice().into_path()
    }
}

/// Rejects what a proxy or Webflow could parse as another host or path.
fn checked(text: &str) -> Result<(), ApiError> {
    on_host(text)?;
    // Encoded slashes count: a server may decode them before it looks for dots.
    let path = text.split('?').next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if decoded.split(['/', '\\']).any(is_dots) { Err(dots()) } else { Ok(()) }
}

/// Like [`checked`], for a path whose segments are encoded, so that an encoded slash is data.
pub fn checked_encoded(text: &str) -> Result<(), ApiError> {
    on_host(text)?;
    let path = text.split('?').next().unwrap_or_default();
    let is_dots = |part| is_dots(&percent_decode_str(part).decode_utf8_lossy());
    if path.split('/').any(is_dots) { Err(dots()) } else { Ok(()) }
}

fn on_host(text: &str) -> Result<(), ApiError> {
    // `//host/..` and `/\host/..` would name another host to some parsers.
    let on_host = text.starts_with('/')
        && !text.starts_with("//")
        && !text.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\' || byte == b'#');
    if on_host {
        return Ok(());
    }
    Err(ApiError::InvalidRequest(
        "the path must start with one slash, for example /v2/sites".into(),
    ))
}

fn is_dots(part: &str) -> bool {
    part == "." || part == ".."
}

fn dots() -> ApiError {
    ApiError::InvalidRequest("the path has a segment . or ..".into())
}

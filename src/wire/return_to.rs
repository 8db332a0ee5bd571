//! Where the browser goes after a flow: always a path of this origin.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

/// The longest accepted path, in bytes.
const MAX_LEN: usize = 2048;

/// Characters that must be encoded in a `Location`. Not `%`, so that encoded text stays as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// A path of this origin.
pub struct OwnPath {
    /// As it goes into a `Location`.
    pub text: String,
    /// As a browser requests it: without query, fragment and dot segments.
    pub resolved: String,
}

impl OwnPath {
    /// Checks that a browser resolves `path` to this origin.
    ///
    /// Rejects other schemes and hosts, `//`, backslashes (browsers treat them as slashes) and control
    /// characters (browsers drop some before resolving), each also percent-encoded, because proxies
    /// may decode them; and paths over 2 KiB.
    pub fn parse(path: &str) -> Option<Self> {
        let text = utf8_percent_encode(path, ENCODED).to_string();
        let is_plain = !path.chars().any(char::is_control);
        if !is_plain || text.len() > MAX_LEN || is_odd(&text) {
            return None;
        }
        let resolved = resolve(&text)?;
        Some(Self { text, resolved })
    }
}

/// Returns `path` if it is an [`OwnPath`], and `/` otherwise.
pub fn own_path(path: &str) -> String {
    OwnPath::parse(path).map_or_else(|| "/".to_owned(), |own| own.text)
}

/// Whether the path is not one plain absolute path, also after a proxy has decoded it.
fn is_odd(reference: &str) -> bool {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let (path, rest) = reference.split_at(end);
    if rest.contains('\\') {
        return true;
    }
    let mut decoded = Cow::Borrowed(path);
    for _ in 0..3 {
        let odd = !decoded.starts_with('/')
            || decoded.starts_with("//")
            || decoded.contains('\\')
            || decoded.chars().any(char::is_control);
        if odd {
            return true;
        }
        if !decoded.contains('%') {
            return false;
        }
        decoded = percent_decode_str(&decoded).decode_utf8_lossy().into_owned().into();
    }
    false
}

/// Resolves the reference by the URL Standard's algorithm. `None` if it leads elsewhere.
fn resolve(reference: &str) -> Option<String> {
    static BASE: LazyLock<Option<Url>> =
        LazyLock::new(|| Url::parse("https://here.invalid/base/").ok());
    let base = BASE.as_ref()?;
    let url = base.join(reference).ok()?;
    let stays = url.origin() == base.origin() && !url.path().starts_with("//");
    stays.then(|| url.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r1_own_paths_pass() {
        for path in ["/", "/a/b?c=d&e=%2F%2Fevil", "/a//b", "/%E2%9C%93", "/q?x=https://b.example"]
        {
            assert_eq!(own_path(path), path);
        }
        assert_eq!(own_path("/a b?q=\u{2713}"), "/a%20b?q=%E2%9C%93");
        assert_eq!(own_path(&format!("/{}", "x".repeat(2047))).len(), 2048);
    }

    #[test]
    fn r1_everything_else_becomes_the_root() {
        let long = format!("/{}", "x".repeat(3000));
        for path in [
            "",
            "a",
            " /a",
            "//evil",
            "/\\evil",
            "\\\\evil",
            "\\/evil",
            "https:evil",
            "https://evil.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\t/evil",
            "/%09/evil",
            "/%2509/evil",
            "/\r\nSet-Cookie: a=b",
            "/%0d%0aSet-Cookie:a=b",
            "/\0",
            "/%00",
            "/%5cevil",
            "/%5Cevil",
            "/%255cevil",
            "/%2Fevil.example",
            "/%252fevil.example",
            "/.//evil",
            "/..//evil",
            "@evil.example",
            "/a?b\\c",
            "/a?b\r\nSet-Cookie: c=d",
            "/a?b\tc",
            "/a#\0",
            &long,
        ] {
            assert_eq!(own_path(path), "/", "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn r1_return_to_never_leaves_the_origin(
            path in r"[/\\]{0,3}[a-z@:.%\\/?# \t\r\n\x00-\x1f-]{0,20}(%(25)?(5[cC]|2[fF]|09|00))?.{0,8}",
        ) {
            let own = own_path(&path);
            prop_assert!(own.starts_with('/') && !own.starts_with("//"));
            prop_assert!(http::HeaderValue::from_str(&own).is_ok());
            let base = Url::parse("https://app.example.com/auth/callback").unwrap();
            prop_assert_eq!(base.join(&own).unwrap().origin(), base.origin());
        }
    }
}

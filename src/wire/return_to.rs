//! Where the browser goes after a flow: always a path of this origin.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

/// The longest accepted path, in bytes.
const MAX_LEN: usize = 2048;

/// Characters that must be encoded in a `Location`. Not `%`, so that encoded text stays as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// Returns `path` if a browser resolves it to this origin, and `/` otherwise.
///
/// Rejects other schemes and hosts, `//`, backslashes (browsers treat them as slashes) and control
/// characters (browsers drop some before resolving), each also percent-encoded, because proxies may
/// decode them; and paths over 2 KiB.
pub fn own_path(path: &str) -> String {
    checked(path).unwrap_or_else(|| "/".to_owned())
}

/// Like [`own_path`]; `None` if the path is refused.
pub fn checked(path: &str) -> Option<String> {
    let encoded = utf8_percent_encode(path, ENCODED).to_string();
    let is_plain = !path.chars().any(char::is_control);
    (is_plain && encoded.len() <= MAX_LEN && stays_here(&encoded)).then_some(encoded)
}

fn stays_here(reference: &str) -> bool {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let (path, rest) = reference.split_at(end);
    if rest.contains('\\') {
        return false;
    }
    let mut decoded = path.to_owned();
    for _ in 0..3 {
        let odd = !decoded.starts_with('/')
            || decoded.starts_with("//")
            || decoded.contains('\\')
            || decoded.chars().any(char::is_control);
        if odd {
            return false;
        }
        decoded = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
    }
    resolves_here(reference)
}

/// The path as a browser would request it: without query, fragment and dot segments.
pub fn resolved(path: &str) -> Option<String> {
    let base = Url::parse("https://here.invalid/").ok()?;
    Some(base.join(path).ok()?.path().to_owned())
}

/// Checks the reference with the URL Standard's algorithm.
fn resolves_here(reference: &str) -> bool {
    let Ok(base) = Url::parse("https://here.invalid/base/") else {
        return false;
    };
    base.join(reference)
        .is_ok_and(|url| url.origin() == base.origin() && !url.path().starts_with("//"))
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

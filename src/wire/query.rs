//! Strict parsing of query parameters.

use percent_encoding::percent_decode_str;

/// Why a query parameter is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// It occurs more than once, which RFC 6749 section 3.1 forbids.
    Repeated,
    /// It does not decode to UTF-8.
    NotUtf8,
}

/// The value of the parameter `name` in an `application/x-www-form-urlencoded` query, which may
/// occur at most once.
pub fn single(query: &str, name: &str) -> Result<Option<String>, QueryError> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key).is_ok_and(|key| key == name) {
            if found.is_some() {
                return Err(QueryError::Repeated);
            }
            found = Some(decode(value)?);
        }
    }
    Ok(found)
}

fn decode(text: &str) -> Result<String, QueryError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| QueryError::NotUtf8)?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_parsed_once_and_strictly() {
        assert_eq!(single("a=1&b=x+y%3D&c", "b"), Ok(Some("x y=".into())));
        assert_eq!(single("a=1&b=x+y%3D&c", "c"), Ok(Some(String::new())));
        assert_eq!(single("", "a"), Ok(None));
        assert_eq!(single("a=1&%61=2", "a"), Err(QueryError::Repeated));
        assert_eq!(single("a=%ff", "a"), Err(QueryError::NotUtf8));
        assert_eq!(single("a=%ff", "b"), Ok(None));
    }
}

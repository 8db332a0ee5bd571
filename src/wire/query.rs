//! Query parameters, read strictly.

use percent_encoding::percent_decode_str;

/// What is wrong with a query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// It comes more than once (RFC 6749 section 3.1 forbids that).
    Repeated,
    /// It is not UTF-8 once decoded.
    NotUtf8,
}

/// The value of the one parameter `name` of an `application/x-www-form-urlencoded` query.
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
    fn a_parameter_is_read_once_and_strictly() {
        assert_eq!(single("a=1&b=x+y%3D&c", "b"), Ok(Some("x y=".into())));
        assert_eq!(single("a=1&b=x+y%3D&c", "c"), Ok(Some(String::new())));
        assert_eq!(single("", "a"), Ok(None));
        assert_eq!(single("a=1&%61=2", "a"), Err(QueryError::Repeated));
        assert_eq!(single("a=%ff", "a"), Err(QueryError::NotUtf8));
        assert_eq!(single("a=%ff", "b"), Ok(None));
    }
}

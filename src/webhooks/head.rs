//! The checks made before the body is read.

use http::{HeaderMap, HeaderName, Method};

use super::refusal::Refusal;
use crate::delivery::signature::{Signature, Timestamp};
use crate::wire::body::{declared_len, is_plain_json};

pub const SIGNATURE: HeaderName = HeaderName::from_static("x-webflow-signature");
pub const TIMESTAMP: HeaderName = HeaderName::from_static("x-webflow-timestamp");

/// The parsed head of a delivery. Its signature is not verified yet.
#[derive(Debug)]
pub struct Head {
    pub signature: Signature,
    pub timestamp: Timestamp,
    /// The declared length of the body.
    pub content_length: Option<usize>,
}

impl Head {
    /// Parses the head, or returns the first check that fails.
    pub fn check(
        method: &Method,
        headers: &HeaderMap,
        now_millis: u64,
        body_limit: usize,
    ) -> Result<Self, Refusal> {
        if method != Method::POST {
            return Err(Refusal::Method);
        }
        if !headers.contains_key(SIGNATURE) || !headers.contains_key(TIMESTAMP) {
            return Err(Refusal::Unsigned);
        }
        let signature = only(headers, &SIGNATURE).and_then(Signature::parse);
        let timestamp = only(headers, &TIMESTAMP).and_then(Timestamp::parse);
        let (Some(signature), Some(timestamp)) = (signature, timestamp) else {
            return Err(Refusal::Malformed);
        };
        if !timestamp.is_fresh(now_millis) {
            return Err(Refusal::Stale);
        }
        // The signature covers the body as it was sent, so no decoding can precede it.
        if !is_plain_json(headers) {
            return Err(Refusal::MediaType);
        }
        let content_length = declared_len(headers, body_limit)?;
        Ok(Self { signature, timestamp, content_length })
    }
}

/// The value of a header that is present exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW: u64 = 1_700_000_000_000;
    const GOOD: &str = "6edcd37f84ad9d9fc0b7909938558c4f548e2d8f61a4295871139a28fb018792";

    fn check(method: &Method, headers: &[(&str, &str)]) -> Result<Head, Refusal> {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Head::check(method, &map, NOW, 1000)
    }

    fn signed(extra: &[(&str, &str)]) -> Result<Head, Refusal> {
        let now = NOW.to_string();
        let mut headers =
            vec![("x-webflow-signature", GOOD), ("x-webflow-timestamp", now.as_str())];
        headers.extend(extra);
        check(&Method::POST, &headers)
    }

    #[test]
    fn a_valid_head_passes() {
        assert!(signed(&[]).is_ok());
        let head = signed(&[
            ("content-type", "Application/JSON; charset=utf-8"),
            ("content-encoding", "identity"),
            ("content-length", "1000"),
        ]);
        assert_eq!(head.unwrap().content_length, Some(1000));
    }

    #[test]
    fn the_first_failed_check_decides() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT] {
            assert_eq!(check(&method, &[]).unwrap_err(), Refusal::Method);
        }
        let gzip = ("content-encoding", "gzip");
        let long = ("content-length", "1001");
        assert_eq!(check(&Method::POST, &[gzip, long]).unwrap_err(), Refusal::Unsigned);
        let bad = [("x-webflow-signature", "00"), ("x-webflow-timestamp", "1"), gzip, long];
        assert_eq!(check(&Method::POST, &bad).unwrap_err(), Refusal::Malformed);
        let old = [("x-webflow-signature", GOOD), ("x-webflow-timestamp", "1"), gzip, long];
        assert_eq!(check(&Method::POST, &old).unwrap_err(), Refusal::Stale);
        assert_eq!(signed(&[gzip, long]).unwrap_err(), Refusal::MediaType);
        assert_eq!(signed(&[long]).unwrap_err(), Refusal::TooLarge);
        let huge = ("content-length", "18446744073709551615");
        assert_eq!(signed(&[huge]).unwrap_err(), Refusal::TooLarge);
    }

    #[test]
    fn h5_repeated_headers_are_refused() {
        let now = NOW.to_string();
        assert_eq!(signed(&[("x-webflow-signature", GOOD)]).unwrap_err(), Refusal::Malformed);
        assert_eq!(signed(&[("x-webflow-timestamp", &now)]).unwrap_err(), Refusal::Malformed);
    }

    #[test]
    fn h4_other_types_and_encodings_are_refused() {
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-type", "application/json-patch+json"),
            ("content-type", ""),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-encoding", "br"),
            ("content-encoding", "identity, gzip"),
            ("content-encoding", ""),
        ] {
            assert_eq!(signed(&[(name, value)]).unwrap_err(), Refusal::MediaType, "{value:?}");
        }
        let both = [("content-type", "application/json"), ("content-type", "text/html")];
        assert_eq!(signed(&both).unwrap_err(), Refusal::MediaType);
    }
}

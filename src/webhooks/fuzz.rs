//! Fuzz targets for webhooks; see [`crate::fuzzing`].

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::SecretString;
use serde_json::Value;

use super::envelope::Envelope;
use super::head::{Head, SIGNATURE, TIMESTAMP};
use super::payload::{
    Branch, CollectionItem, Comment, FormSubmission, Inventory, Order, Page, PublishedItems,
    SitePublish,
};
use crate::delivery::signature::{Signature, WINDOW_MILLIS};
use crate::webflow::is_plain_id;

/// The time at which the accepted seeds were signed, approximately.
const NOW: u64 = 1_800_000_000_000;
const LIMIT: usize = 1024 * 1024;

/// The headers of a delivery, one per line: a letter for the name, then the value. Returns whether
/// the body would be read.
pub fn head(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        let name = match name {
            b's' => SIGNATURE,
            b't' => TIMESTAMP,
            b'c' => CONTENT_TYPE,
            b'e' => CONTENT_ENCODING,
            b'l' => CONTENT_LENGTH,
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    assert!(Head::check(&Method::GET, &headers, NOW, LIMIT).is_err());
    let Ok(head) = Head::check(&Method::POST, &headers, NOW, LIMIT) else {
        return false;
    };
    for name in [SIGNATURE, TIMESTAMP] {
        assert_eq!(headers.get_all(name).iter().count(), 1);
    }
    let sent = headers[SIGNATURE].as_bytes().to_ascii_lowercase();
    assert_eq!(head.signature.to_hex().as_bytes(), sent);
    assert!(head.timestamp.millis().abs_diff(NOW) <= WINDOW_MILLIS);
    let secret = SecretString::from("the secret of the fuzz targets");
    assert!(!head.signature.verify(&secret, &head.timestamp, data), "a guessed signature is valid");
    let right = Signature::sign(&secret, &head.timestamp, data).expect("a signature");
    assert!(right.verify(&secret, &head.timestamp, data));
    true
}

/// The body of a delivery with a valid signature. Returns whether the handler would run.
pub fn body(data: &[u8]) -> bool {
    let Some(envelope) = Envelope::parse(data) else {
        return false;
    };
    // The one-pass reader must agree with a full parse.
    let whole: Value = serde_json::from_slice(data).expect("JSON");
    assert_eq!(whole["triggerType"], envelope.trigger);
    assert!(envelope.trigger.len() <= 128);
    let payload = &whole["payload"];
    for (name, found) in [("siteId", &envelope.site_id), ("workspaceId", &envelope.workspace_id)] {
        let of_payload = payload.get(name);
        let id = of_payload.unwrap_or_else(|| &payload["items"][0][name]);
        let id = id.as_str().filter(|id| is_plain_id(id));
        assert_eq!(found.as_deref(), id, "{name} of {payload}");
    }
    let _ = serde_json::from_value::<FormSubmission>(payload.clone());
    let _ = serde_json::from_value::<SitePublish>(payload.clone());
    let _ = serde_json::from_value::<Page>(payload.clone());
    let _ = serde_json::from_value::<Branch>(payload.clone());
    let _ = serde_json::from_value::<Comment>(payload.clone());
    let _ = serde_json::from_value::<CollectionItem>(payload.clone());
    let _ = serde_json::from_value::<PublishedItems>(payload.clone());
    let _ = serde_json::from_value::<Order>(payload.clone());
    let _ = serde_json::from_value::<Inventory>(payload.clone());
    true
}

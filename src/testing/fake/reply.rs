//! Answers of the stand-in, in Webflow's shapes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

pub(super) type Reply = Response<Full<Bytes>>;

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

pub(super) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    reply(status, "application/json", body.to_string().into_bytes())
}

/// An error of the OAuth endpoints (RFC 6749 section 5.2).
pub(super) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Reply {
    json_reply(status, &json!({ "error": error, "error_description": description }))
}

/// An error of the Data API.
pub(super) fn api_error(status: StatusCode, code: &str, message: &str) -> Reply {
    json_reply(
        status,
        &json!({ "code": code, "message": message, "externalReference": null, "details": [] }),
    )
}

pub(super) fn redirect(status: StatusCode, to: &str) -> Reply {
    let mut reply = reply(status, "text/plain", Vec::new());
    if let Ok(to) = HeaderValue::from_str(to) {
        reply.headers_mut().insert(LOCATION, to);
    }
    reply
}

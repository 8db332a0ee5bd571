//! Responses in Webflow's formats.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// A complete response. Endpoints build it synchronously, and faults may replace it.
pub type Answer = Response<Bytes>;

/// How `/oauth/access_token` writes the `scope` of a token.
///
/// Webflow does not document the format, so clients must read all of them. The default is `Space`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ScopeShape {
    /// `"sites:read cms:read"`, as in RFC 6749 section 5.1.
    #[default]
    Space,
    /// `"sites:read,cms:read"`, as introspection is documented to write it.
    Comma,
    /// `["sites:read", "cms:read"]`.
    List,
    /// No `scope` at all.
    Absent,
}

/// How the Data API writes lists.
///
/// Webflow uses all of them, depending on the endpoint. The default is `Offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ListShape {
    /// Pages by `offset` and `limit`.
    #[default]
    Offset,
    /// Pages by `cursor` and `limit`, with `pagination.nextCursor`.
    Cursor,
    /// The whole list with a `pagination`; `offset` and `limit` are ignored.
    Whole,
    /// `null` instead of every list, including `/v2/sites`.
    Null,
}

/// How the two OAuth endpoints write an error.
///
/// Webflow documents the error codes but not the body. The default is `OAuth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorShape {
    /// `{"error": .., "error_description": ..}`, as in RFC 6749 section 5.2.
    #[default]
    OAuth,
    /// `{"code": .., "message": .., "externalReference": null, "details": []}`, as the Data API
    /// writes it.
    Api,
    /// One line of text.
    PlainText,
}

/// An error of the exchange or the revocation, before it is formatted.
#[derive(Debug)]
pub struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
}

impl OAuthError {
    pub fn bad_request(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub fn invalid_client() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: "client_id or client_secret is wrong".into(),
        }
    }

    pub fn into_answer(self, shape: ErrorShape) -> Answer {
        let Self { status, error, description } = self;
        match shape {
            ErrorShape::OAuth => {
                json(status, &json!({"error": error, "error_description": description}))
            }
            ErrorShape::Api => api_error(status, error, &description),
            ErrorShape::PlainText => text(status, format!("{error}: {description}")),
        }
    }
}

pub fn json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = respond(status, "application/json; charset=utf-8", body.to_string());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An error in the Data API's format. Source: Webflow Data API, *Error Handling*.
pub fn api_error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(
        status,
        &json!({"code": code, "message": message, "externalReference": null, "details": []}),
    )
}

/// 400, as the Data API refuses a body or a query.
pub fn invalid(message: &str) -> Answer {
    api_error(StatusCode::BAD_REQUEST, "validation_error", message)
}

pub fn not_found(message: &str) -> Answer {
    api_error(StatusCode::NOT_FOUND, "resource_not_found", message)
}

pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    respond(status, "text/plain; charset=utf-8", body)
}

/// A redirect, or a 500 if the target is not a valid header value.
pub fn redirect(status: StatusCode, to: &str) -> Answer {
    let Ok(location) = HeaderValue::try_from(to) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the redirect target is not a valid URL");
    };
    with_header(text(status, ""), LOCATION, location)
}

pub fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    with_header(answer, CONTENT_TYPE, HeaderValue::from_static(content_type))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

pub fn with_header(mut answer: Answer, name: HeaderName, value: impl Into<HeaderValue>) -> Answer {
    answer.headers_mut().insert(name, value.into());
    answer
}

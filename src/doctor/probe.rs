//! A bounded request, and the parts of its response that the doctor needs.

use std::error::Error;
use std::io;
use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::time::format_description::well_known::Rfc2822;
use http::header::{DATE, LOCATION};
use http::{HeaderMap, StatusCode};

use crate::webflow::send_twice;

/// Time limit of one request.
pub const BUDGET: Duration = Duration::from_secs(5);

/// The crate's own problems have a few hundred bytes.
const MAX_BODY_LEN: usize = 4096;

pub struct ProbeResponse {
    pub status: StatusCode,
    pub location: Option<String>,
    /// The server's time from the `Date` header, in Unix seconds.
    pub unix_secs: Option<i64>,
    body: Vec<u8>,
}

/// Why a probe got no response.
pub enum ProbeError {
    Refused,
    Timeout,
    Other(String),
}

pub async fn send(
    request: reqwest::RequestBuilder,
    budget: Duration,
) -> Result<ProbeResponse, ProbeError> {
    let response = async {
        let mut response = send_twice(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        // A body that breaks off or never ends does not invalidate the head.
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < MAX_BODY_LEN
        {
            body.extend_from_slice(&chunk);
        }
        Ok(ProbeResponse {
            status,
            location: headers.get(LOCATION).and_then(|it| it.to_str().ok()).map(str::to_owned),
            unix_secs: unix_secs(&headers),
            body,
        })
    };
    match tokio::time::timeout(budget.min(BUDGET), response).await {
        Err(_) => Err(ProbeError::Timeout),
        Ok(response) => response.map_err(|error: reqwest::Error| ProbeError::from(error)),
    }
}

impl ProbeResponse {
    /// The kind, if the response is one of the crate's own problems.
    pub fn own_problem(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let kind = body.get("type")?.as_str()?.strip_prefix("urn:tower-webflow-auth:")?;
        Some(kind.to_owned())
    }
}

impl From<reqwest::Error> for ProbeError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The last cause is the most specific.
        let mut last: &(dyn Error + 'static) = &error;
        loop {
            let io: Option<&io::Error> = last.downcast_ref();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            match last.source() {
                Some(cause) => last = cause,
                None => return Self::Other(last.to_string()),
            }
        }
    }
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("nothing is listening there"),
            Self::Timeout => f.write_str("no response in time"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

/// `Date` (RFC 9110 section 6.6.1), whose format RFC 2822 includes.
fn unix_secs(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_date_header_is_parsed() {
        let mut headers = HeaderMap::new();
        assert_eq!(unix_secs(&headers), None);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(unix_secs(&headers), Some(784_111_777));
        headers.insert(DATE, HeaderValue::from_static("soon"));
        assert_eq!(unix_secs(&headers), None);
    }
}

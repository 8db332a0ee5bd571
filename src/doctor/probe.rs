//! One request and the little of its answer that the doctor wants, within a bounded time.

use std::error::Error;
use std::io;
use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::time::format_description::well_known::Rfc2822;
use http::header::{DATE, LOCATION};
use http::{HeaderMap, StatusCode};

use crate::webflow::send_twice;

/// How long one request may take.
pub const BUDGET: Duration = Duration::from_secs(5);

/// The crate's own problems have some hundred bytes.
const MAX_BODY_LEN: usize = 4096;

pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    /// The time that the other side says it is, in Unix seconds.
    pub unix_secs: Option<i64>,
    body: Vec<u8>,
}

/// Why there is no answer.
pub enum Silence {
    Refused,
    Timeout,
    Other(String),
}

pub async fn ask(
    request: reqwest::RequestBuilder,
    budget: Duration,
) -> Result<Answer, Silence> {
    let answer = async {
        let mut response = send_twice(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        // A body that breaks off, or goes on for ever, takes nothing from what its head says.
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < MAX_BODY_LEN
        {
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            location: headers.get(LOCATION).and_then(|it| it.to_str().ok()).map(str::to_owned),
            unix_secs: unix_secs(&headers),
            body,
        })
    };
    match tokio::time::timeout(budget.min(BUDGET), answer).await {
        Err(_) => Err(Silence::Timeout),
        Ok(answer) => answer.map_err(|error: reqwest::Error| Silence::from(error)),
    }
}

impl Answer {
    /// Which of the crate's own problems it is.
    pub fn own_problem(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let kind = body.get("type")?.as_str()?.strip_prefix("urn:tower-webflow-auth:")?;
        Some(kind.to_owned())
    }
}

impl From<reqwest::Error> for Silence {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The last cause is the one that says something.
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

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("nothing listens there"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

/// `Date` (RFC 9110 section 6.6.1); its form is one of those of RFC 2822.
fn unix_secs(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(unix_secs(&headers), None);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(unix_secs(&headers), Some(784_111_777));
        headers.insert(DATE, HeaderValue::from_static("soon"));
        assert_eq!(unix_secs(&headers), None);
    }
}

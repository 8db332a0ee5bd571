//! Faults that a test plants.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;

/// An endpoint of the stand-in, for planting faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FakeEndpoint {
    /// `GET /oauth/authorize`.
    Authorize,
    /// `POST /oauth/access_token`.
    Token,
    /// `POST /oauth/revoke_authorization`.
    Revoke,
    /// `GET /v2/token/introspect`.
    Introspect,
    /// `GET /v2/sites`.
    Sites,
    /// Every other path of the Data API.
    Api,
}

impl FakeEndpoint {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match (method.as_str(), path) {
            (_, "/oauth/authorize") => Self::Authorize,
            ("POST", "/oauth/access_token") => Self::Token,
            ("POST", "/oauth/revoke_authorization") => Self::Revoke,
            (_, "/v2/token/introspect") => Self::Introspect,
            (_, "/v2/sites") => Self::Sites,
            _ => Self::Api,
        }
    }
}

/// What goes wrong.
///
/// The request is not carried out, so a code stays good, except with [`Delay`](Self::Delay) and
/// [`LoseAnswer`](Self::LoseAnswer).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The right answer, late.
    Delay(Duration),
    /// No answer, ever.
    Hang,
    /// A status with a body.
    Status(u16, String),
    /// 429 with `Retry-After` in seconds.
    RateLimited(u64),
    /// 200 with this content type and body.
    Body(&'static str, Vec<u8>),
    /// 200 with a body that ends before its `Content-Length`.
    Truncated,
    /// 307 to this address.
    Redirect(String),
    /// The connection is reset.
    Reset,
    /// The request is carried out, then the connection is reset.
    LoseAnswer,
}

#[derive(Default)]
pub(super) struct Faults(HashMap<FakeEndpoint, Vec<(Fault, Option<usize>)>>);

impl Faults {
    pub(super) fn plant(&mut self, at: FakeEndpoint, fault: Fault, times: Option<usize>) {
        self.0.entry(at).or_default().push((fault, times));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that the next request meets; those planted for one time are used up.
    pub(super) fn take(&mut self, at: FakeEndpoint) -> Option<Fault> {
        let planted = self.0.get_mut(&at)?;
        let (fault, times) = planted.first_mut()?;
        let fault = fault.clone();
        if let Some(left) = times {
            *left -= 1;
            if *left == 0 {
                planted.remove(0);
            }
        }
        Some(fault)
    }
}

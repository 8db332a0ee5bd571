//! The retry policy: which attempts are repeated, and after what pause. It is that of both official
//! SDKs, except that a call ends within its time limit.

use std::time::Duration;

use http::{Method, StatusCode};

use super::ApiError;
use crate::crypto::random;
use crate::webflow::closed_unanswered;

/// The most attempts that a call makes.
pub const ATTEMPTS: u32 = 3;

/// The pause before the second attempt. It doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a connection was closed without a response, most often a stale pooled one.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause of a patient call when Webflow names none.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When it is safe to repeat a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The request changes nothing.
    Read,
    /// Repeating the request changes nothing further.
    Idempotent,
    /// Only after a 429: Webflow did not process the request.
    Refused,
}

impl Repeat {
    pub fn for_method(method: &Method) -> Self {
        if method == Method::GET {
            Self::Read
        } else if [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(method) {
            Self::Idempotent
        } else {
            Self::Refused
        }
    }

    fn repeats(self, status: StatusCode) -> bool {
        match status.as_u16() {
            429 => true,
            408 | 500..=599 => self != Self::Refused,
            409 => self == Self::Read,
            _ => false,
        }
    }
}

/// The attempts that a call has made and may still make.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    pub repeat: Repeat,
    /// Attempts left, the next one included.
    pub left: u32,
    /// Whether a 429 is repeated until the call's time limit.
    pub patient: bool,
    made: u32,
}

impl Attempts {
    pub const fn new(repeat: Repeat, left: u32, patient: bool) -> Self {
        Self { repeat, left, patient, made: 0 }
    }

    /// The pause before the next attempt after a response with `status`, or `None` to give up.
    /// `asked` is the pause that the response asks for.
    pub fn after_status(
        &mut self,
        status: StatusCode,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        if !self.repeat.repeats(status) {
            return None;
        }
        let free = self.patient && status == StatusCode::TOO_MANY_REQUESTS;
        if free {
            self.made += 1;
        } else {
            self.count()?;
        }
        Some(asked.unwrap_or_else(|| self.pause(FIRST_PAUSE)))
    }

    /// The pause before the next attempt after one without a response, or `None` to give up.
    pub fn after_failure(&mut self, error: &ApiError) -> Option<Duration> {
        let unanswered = match error {
            ApiError::Unreachable(cause) => cause.is_connect() || closed_unanswered(cause),
            _ => false,
        };
        if !unanswered || self.repeat == Repeat::Refused {
            return None;
        }
        self.count()?;
        Some(self.pause(RECONNECT_PAUSE))
    }

    fn count(&mut self) -> Option<()> {
        self.made += 1;
        self.left = self.left.saturating_sub(1);
        (self.left > 0).then_some(())
    }

    /// `first`, doubled with each attempt and shortened by up to half as jitter.
    fn pause(self, first: Duration) -> Duration {
        let doublings = self.made.saturating_sub(1).min(16);
        let longest = first.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        let [byte] = random::bytes();
        longest.mul_f64(0.5 + f64::from(byte) / 510.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPEATABLE: [u16; 7] = [408, 409, 429, 500, 502, 503, 504];

    fn repeated(method: &Method) -> Vec<u16> {
        let repeat = Repeat::for_method(method);
        let status = |code| StatusCode::from_u16(code).unwrap();
        (100..600).filter(|code| repeat.repeats(status(*code))).collect()
    }

    #[test]
    fn w9_the_method_decides_which_statuses_are_repeated() {
        let get = repeated(&Method::GET);
        assert!(REPEATABLE.iter().all(|code| get.contains(code)));
        assert_eq!(get.len(), 103, "408, 409, 429 and the 5xx");
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let mut expected = get.clone();
            expected.retain(|code| *code != 409);
            assert_eq!(repeated(&method), expected, "{method}");
        }
        for method in [Method::POST, Method::PATCH, Method::TRACE] {
            assert_eq!(repeated(&method), [429], "{method}");
        }
    }

    #[test]
    fn w9_pauses_grow_and_have_jitter() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let mut seen = std::collections::HashSet::new();
        for _ in 0..64 {
            let mut attempts = Attempts::new(Repeat::Read, ATTEMPTS, false);
            let pauses = [(); 2].map(|()| attempts.after_status(unavailable, None).unwrap());
            for (pause, longest) in pauses.iter().zip([1, 2].map(Duration::from_secs)) {
                assert!((longest / 2..=longest).contains(pause), "{pause:?}");
            }
            seen.extend(pauses);
            assert_eq!(attempts.after_status(unavailable, None), None, "three attempts in all");
        }
        assert!(seen.len() > 32, "{}", seen.len());
    }

    #[test]
    fn patience_is_for_the_rate_limit_only() {
        let mut attempts = Attempts::new(Repeat::Refused, ATTEMPTS, true);
        for _ in 0..1000 {
            let pause = attempts.after_status(StatusCode::TOO_MANY_REQUESTS, None).unwrap();
            assert!(pause <= LONGEST_PAUSE);
        }
        let mut attempts = Attempts::new(Repeat::Read, ATTEMPTS, true);
        let wait = Some(Duration::from_millis(1));
        let pauses = [502, 429, 502, 429, 502]
            .map(|code| attempts.after_status(StatusCode::from_u16(code).unwrap(), wait));
        assert_eq!(pauses, [wait, wait, wait, wait, None]);
    }
}

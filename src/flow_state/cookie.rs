//! The flow cookie, which binds a flow to the browser that started it.
//!
//! It is encrypted, with its name and the client ID as associated data, so a renamed cookie does
//! not open. The name ends in a digest of the state, so a callback finds the cookie of its flow
//! among those of other tabs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq;

use crate::crypto::keyring::{Keyring, Purpose};
use crate::wire::cookies::{CookiePolicy, named, with_prefix};

/// How many flows a browser may have open. Beyond that, the oldest is removed.
pub const MAX_FLOWS: usize = 8;

/// The limit on the names and values of all flow cookies together, in bytes. Servers commonly
/// reject header lines over 8 KiB, which also have to hold the session cookie and the separators.
pub const MAX_TOTAL_LEN: usize = 8 * 1024 - 512;

/// How many cookies one response removes, and how long the IDs in their names may be, to keep the
/// response's head short. The next response removes the rest.
const MAX_REMOVALS: usize = 16;
const MAX_ID_LEN: usize = 44;

/// The longest value that is opened. Browsers limit name and value to 4096 bytes.
const MAX_VALUE_LEN: usize = 4096;

/// How many cookies are opened per request, since each costs time. Browsers never have so many.
const MAX_OPENED: usize = 64;

/// How far the clocks of two instances may differ.
const MAX_SKEW_MILLIS: u64 = 60_000;

/// Why a flow was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowKind {
    /// There was no token.
    #[serde(rename = "l")]
    Login,
    /// A callback had no state: an install that began at Webflow.
    #[serde(rename = "i")]
    Install,
    /// The token lacked scopes.
    #[serde(rename = "s")]
    StepUp,
    /// Webflow rejected the token.
    #[serde(rename = "r")]
    Reauthorize,
}

impl FlowKind {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Install => "install",
            Self::StepUp => "step-up",
            Self::Reauthorize => "reauthorize",
        }
    }
}

/// One flow, the content of its cookie.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    #[serde(rename = "s")]
    pub state: String,
    /// The ID of the session that the flow will create, new for each flow.
    #[serde(rename = "n")]
    pub session: String,
    #[serde(rename = "t")]
    pub began_unix_millis: u64,
    #[serde(rename = "o")]
    pub scopes: String,
    #[serde(rename = "r")]
    pub return_to: String,
    /// A digest of the application's user who started the flow, unless subjects are sessions.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(rename = "k")]
    pub kind: FlowKind,
    /// The application's data for `on_authorized`, as JSON.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
}

/// An authorization code that waits for somebody to sign in to the application.
#[derive(Clone, Serialize, Deserialize)]
pub struct Parked {
    #[serde(rename = "c")]
    pub code: String,
    #[serde(rename = "t")]
    pub since_unix_millis: u64,
}

/// How long Webflow accepts a code.
pub const CODE_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Why a state has no open flow in this browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowError {
    /// No cookie of this browser belongs to the state.
    Unknown,
    /// The flow has expired.
    Expired,
}

/// The flow's public ID, which reveals nothing about the state.
pub fn flow_id(state: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(state).into();
    let (id, _) = digest.split_at(12);
    URL_SAFE_NO_PAD.encode(id)
}

impl Flow {
    pub fn id(&self) -> String {
        flow_id(&self.state)
    }

    /// When the flow expires, in Unix seconds.
    pub fn expires_unix_secs(&self, lifetime: Duration) -> u64 {
        let (began, lifetime) = self.term(lifetime);
        (began / 1000).saturating_add(lifetime.as_secs())
    }

    /// When the flow's lifetime began, and how long it is. A parked code has a separate lifetime.
    fn term(&self, lifetime: Duration) -> (u64, Duration) {
        match &self.parked {
            Some(parked) => (parked.since_unix_millis, CODE_LIFETIME),
            None => (self.began_unix_millis, lifetime),
        }
    }
}

/// Seals, opens and finds the flows of one app.
#[derive(Clone, Copy)]
pub struct FlowJar<'a> {
    pub policy: &'a CookiePolicy,
    pub keyring: &'a Keyring,
    pub client_id: &'a str,
    pub lifetime: Duration,
    /// In Unix milliseconds.
    pub now: u64,
}

impl<'a> FlowJar<'a> {
    fn name(&self, id: &str) -> String {
        format!("{}{id}", self.policy.flow_prefix())
    }

    /// The associated data: the cookie's name and the client ID.
    fn associated(&self, name: &str) -> Vec<u8> {
        [name.as_bytes(), &[0], self.client_id.as_bytes()].concat()
    }

    /// The name and value of the flow's cookie.
    pub fn seal(&self, flow: &Flow) -> Option<(String, String)> {
        let name = self.name(&flow.id());
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(flow).ok()?);
        let sealed = self.keyring.seal(Purpose::Flow, &self.associated(&name), &plain);
        Some((name, URL_SAFE_NO_PAD.encode(sealed)))
    }

    pub fn open(&self, name: &str, value: &str) -> Option<Flow> {
        if value.len() > MAX_VALUE_LEN {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let plain = self.keyring.open(Purpose::Flow, &self.associated(name), &sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    /// The flow of this browser that belongs to `state`.
    pub fn find(&self, headers: &HeaderMap, state: &str) -> Result<Flow, FlowError> {
        let name = self.name(&flow_id(state));
        let flow = named(headers, &name)
            .take(MAX_OPENED)
            .filter_map(|value| self.open(&name, value))
            .find(|flow| bool::from(flow.state.as_bytes().ct_eq(state.as_bytes())))
            .ok_or(FlowError::Unknown)?;
        if self.is_open(&flow) { Ok(flow) } else { Err(FlowError::Expired) }
    }

    /// Whether the flow has begun and not expired, by the server's clock.
    pub fn is_open(&self, flow: &Flow) -> bool {
        let (began, lifetime) = flow.term(self.lifetime);
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        began <= self.now.saturating_add(MAX_SKEW_MILLIS)
            && self.now < began.saturating_add(lifetime)
    }

    /// The `Set-Cookie` value that removes the flow's cookie.
    pub fn removal(&self, flow: &Flow) -> Option<HeaderValue> {
        self.policy.remove(&self.name(&flow.id()))
    }

    /// The flow cookies of a request.
    pub fn read<'h>(self, headers: &'h HeaderMap) -> FlowCookies<'h>
    where
        'a: 'h,
    {
        let found = with_prefix(headers, self.policy.flow_prefix())
            .enumerate()
            .map(|(i, (name, value))| FoundCookie {
                name,
                len: name.len() + value.len() + 1,
                flow: if i < MAX_OPENED { self.open(name, value) } else { None },
            })
            .collect();
        FlowCookies { jar: self, found }
    }
}

/// The flow cookies that a request carries.
pub struct FlowCookies<'h> {
    jar: FlowJar<'h>,
    found: Vec<FoundCookie<'h>>,
}

struct FoundCookie<'h> {
    name: &'h str,
    len: usize,
    flow: Option<Flow>,
}

impl FlowCookies<'_> {
    /// Every flow that opens, whether or not it has expired.
    fn all(&self) -> impl Iterator<Item = &Flow> {
        self.found.iter().filter_map(|cookie| cookie.flow.as_ref())
    }

    /// The flows that have not expired.
    pub fn open(&self) -> impl Iterator<Item = &Flow> {
        self.all().filter(|flow| self.jar.is_open(flow))
    }

    /// The newest flows without duplicates, at most `limit`.
    pub fn distinct(&self, limit: usize) -> Vec<Flow> {
        let mut flows: Vec<_> = self.all().collect();
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.began_unix_millis));
        let mut distinct: Vec<Flow> = Vec::new();
        for flow in flows {
            if distinct.len() < limit && distinct.iter().all(|seen| seen.state != flow.state) {
                distinct.push(flow.clone());
            }
        }
        distinct
    }

    /// The `Set-Cookie` values that remove surplus cookies: first those that do not open or have
    /// expired, then the oldest. `new_len` is the length of a cookie about to be set, if any. A
    /// name is only removed if no cookie with that name is kept.
    pub fn make_room(mut self, new_len: Option<usize>) -> Vec<HeaderValue> {
        let jar = self.jar;
        // Browsers send cookies in the order they were set. The sort is stable, so that order
        // decides between equal times.
        self.found.reverse();
        self.found.sort_by_key(|cookie| {
            let open = cookie.flow.as_ref().filter(|flow| jar.is_open(flow));
            std::cmp::Reverse(open.map(|flow| flow.began_unix_millis))
        });
        let mut total = new_len.unwrap_or(0);
        let mut kept: Vec<&str> = Vec::new();
        let mut surplus: Vec<&str> = Vec::new();
        for cookie in &self.found {
            let count = kept.len() + usize::from(new_len.is_some());
            let fits = count < MAX_FLOWS && total + cookie.len <= MAX_TOTAL_LEN;
            if fits && cookie.flow.as_ref().is_some_and(|flow| jar.is_open(flow)) {
                kept.push(cookie.name);
                total += cookie.len;
            } else {
                surplus.push(cookie.name);
            }
        }
        remove_some(jar.policy, surplus.into_iter().filter(|name| !kept.contains(name)))
    }

    /// The `Set-Cookie` values that remove all of them.
    pub fn remove_all(&self) -> Vec<HeaderValue> {
        let (open, junk): (Vec<_>, Vec<_>) =
            self.found.iter().partition(|cookie| cookie.flow.is_some());
        remove_some(self.jar.policy, open.into_iter().chain(junk).map(|cookie| cookie.name))
    }
}

/// Whether a cookie's name has the form that this crate uses. Any other name may come from another
/// host and must not be echoed in a response header.
fn is_well_formed(policy: &CookiePolicy, name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let id = name.strip_prefix(policy.flow_prefix());
    id.is_some_and(|id| id.len() <= MAX_ID_LEN && id.bytes().all(known))
}

fn remove_some<'a>(
    policy: &CookiePolicy,
    names: impl Iterator<Item = &'a str>,
) -> Vec<HeaderValue> {
    names
        .filter(|name| is_well_formed(policy, name))
        .take(MAX_REMOVALS)
        .filter_map(|name| policy.remove(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random;
    use http::header::COOKIE;
    use proptest::prelude::*;

    static POLICY: CookiePolicy = CookiePolicy::new(true);
    const LIFETIME: Duration = Duration::from_secs(900);

    fn jar(keyring: &Keyring, now_secs: u64) -> FlowJar<'_> {
        let now = now_secs * 1000;
        FlowJar { policy: &POLICY, keyring, client_id: "client", lifetime: LIFETIME, now }
    }

    fn flow(began_unix_secs: u64) -> Flow {
        Flow {
            state: random::token_256(),
            session: random::token_256(),
            began_unix_millis: began_unix_secs * 1000,
            scopes: "sites:read".into(),
            return_to: "/".into(),
            user: None,
            kind: FlowKind::Login,
            data: None,
            parked: None,
        }
    }

    fn headers(cookies: &[(String, String)]) -> HeaderMap {
        let all: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&all.join("; ")).unwrap())])
    }

    #[test]
    fn s5_a_flow_expires_and_cannot_come_from_the_future() {
        let ring = Keyring::generate();
        let flow = flow(10_000);
        let headers = headers(&[jar(&ring, 0).seal(&flow).unwrap()]);
        let find = |now| jar(&ring, now).find(&headers, &flow.state).map(|_| ());
        assert_eq!(find(10_000), Ok(()));
        assert_eq!(find(10_899), Ok(()));
        assert_eq!(find(10_900), Err(FlowError::Expired));
        assert_eq!(find(9_940), Ok(()));
        assert_eq!(find(9_939), Err(FlowError::Expired));
    }

    #[test]
    fn s6_neither_anothers_state_nor_a_renamed_cookie_is_accepted() {
        let ring = Keyring::generate();
        let (a, b) = (flow(0), flow(0));
        let (name_a, value_a) = jar(&ring, 0).seal(&a).unwrap();
        let (name_b, _) = jar(&ring, 0).seal(&b).unwrap();
        let find = |cookies: &[(String, String)], state: &str| {
            jar(&ring, 0).find(&headers(cookies), state).map(|_| ())
        };
        assert_eq!(find(&[(name_a, value_a.clone())], &a.state), Ok(()));
        assert_eq!(find(&[(name_b.clone(), value_a.clone())], &a.state), Err(FlowError::Unknown));
        assert_eq!(find(&[(name_b, value_a)], &b.state), Err(FlowError::Unknown));
    }

    #[test]
    fn s7_no_bit_of_a_flow_cookie_can_be_changed() {
        let ring = Keyring::generate();
        let flow = flow(0);
        let (name, value) = jar(&ring, 0).seal(&flow).unwrap();
        assert!(jar(&ring, 0).open(&name, &value).is_some());
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(jar(&ring, 0).open(&name, &changed).is_none(), "bit {bit}");
        }
        for other in [&name[1..], &format!("{name}A"), &name.replace("__Host-", "")] {
            assert!(jar(&ring, 0).open(other, &value).is_none(), "{other}");
        }
    }

    #[test]
    fn s6_of_two_states_with_one_name_only_the_sealed_one_is_found() {
        // The name is a digest of 96 bits; even who finds another state with it has not the one.
        let ring = Keyring::generate();
        let flow = flow(0);
        let name = format!("{}{}", POLICY.flow_prefix(), flow_id("another"));
        let plain = serde_json::to_vec(&flow).unwrap();
        let value = URL_SAFE_NO_PAD.encode(ring.seal(
            Purpose::Flow,
            &jar(&ring, 0).associated(&name),
            &plain,
        ));
        let headers = headers(&[(name, value)]);
        let found = jar(&ring, 0).find(&headers, "another");
        assert_eq!(found.err(), Some(FlowError::Unknown));
    }

    #[test]
    fn c2_of_two_cookies_with_one_name_the_valid_one_wins() {
        let ring = Keyring::generate();
        let flow = flow(0);
        let (name, value) = jar(&ring, 0).seal(&flow).unwrap();
        let tossed = (name.clone(), "tossed".to_owned());
        let headers = headers(&[tossed, (name, value)]);
        assert!(jar(&ring, 0).find(&headers, &flow.state).is_ok());
    }

    #[test]
    fn s11_the_newest_eight_are_kept_and_junk_is_removed_first() {
        let ring = Keyring::generate();
        let mut cookies: Vec<_> = (0..7).map(|i| jar(&ring, 0).seal(&flow(i)).unwrap()).collect();
        cookies.push((format!("{}junk", POLICY.flow_prefix()), "junk".to_owned()));
        let request = headers(&cookies);
        let gone = jar(&ring, 10).read(&request).make_room(Some(500));
        assert_eq!(gone.len(), 1);
        assert!(gone[0].to_str().unwrap().starts_with("__Host-webflow-flow-junk=;"));

        let cookies: Vec<_> = (0..20).map(|i| jar(&ring, 0).seal(&flow(i)).unwrap()).collect();
        let request = headers(&cookies);
        let gone = jar(&ring, 30).read(&request).make_room(Some(500));
        assert_eq!(gone.len(), 13, "seven stay beside the new one");
        let oldest = &cookies[0].0;
        assert!(gone.iter().any(|set| set.to_str().unwrap().starts_with(oldest.as_str())));
        let newest = &cookies[19].0;
        assert!(!gone.iter().any(|set| set.to_str().unwrap().starts_with(newest.as_str())));

        let gone = jar(&ring, 30).read(&request).make_room(None);
        assert_eq!(gone.len(), 12, "eight stay where none comes along");
    }

    #[test]
    fn s11_expired_and_unopenable_cookies_are_always_removed() {
        let ring = Keyring::generate();
        let over = jar(&ring, 0).seal(&flow(0)).unwrap();
        let open = jar(&ring, 0).seal(&flow(5_000)).unwrap();
        let junk = (format!("{}junk", POLICY.flow_prefix()), "junk".to_owned());
        let request = headers(&[over.clone(), open, junk.clone()]);
        let gone = jar(&ring, 5_000).read(&request).make_room(Some(500));
        let mut gone: Vec<_> =
            gone.iter().map(|set| set.to_str().unwrap().split('=').next().unwrap()).collect();
        gone.sort_unstable();
        let mut expected = [over.0.as_str(), junk.0.as_str()];
        expected.sort_unstable();
        assert_eq!(gone, expected);
    }

    #[test]
    fn c21_flows_started_within_a_second_are_removed_in_order() {
        let ring = Keyring::generate();
        let flows: Vec<_> = (0..12_u64)
            .map(|i| Flow { began_unix_millis: 5_000 + i.min(9), ..flow(0) })
            .map(|flow| jar(&ring, 0).seal(&flow).unwrap())
            .collect();
        let request = headers(&flows);
        let gone = jar(&ring, 6).read(&request).make_room(Some(500));
        let names = |sets: &[HeaderValue]| -> Vec<String> {
            sets.iter().map(|set| set.to_str().unwrap().split('=').next().unwrap().into()).collect()
        };
        let mut expected: Vec<_> = flows[..5].iter().map(|(name, _)| name.clone()).collect();
        let mut gone = names(&gone);
        gone.sort_unstable();
        expected.sort_unstable();
        assert_eq!(gone, expected, "of equal times the header's order decides");
    }

    #[test]
    fn c22_a_name_with_one_valid_cookie_is_kept() {
        let ring = Keyring::generate();
        let (name, value) = jar(&ring, 0).seal(&flow(0)).unwrap();
        let request = headers(&[(name.clone(), "junk".to_owned()), (name, value)]);
        assert_eq!(jar(&ring, 0).read(&request).make_room(Some(500)), Vec::<HeaderValue>::new());
    }

    #[test]
    fn c3_a_repeated_flow_counts_once() {
        let ring = Keyring::generate();
        let one = jar(&ring, 0).seal(&flow(0)).unwrap();
        let many: Vec<_> = (0..64).map(|_| one.clone()).collect();
        assert_eq!(jar(&ring, 0).read(&headers(&many)).distinct(8).len(), 1);
        let many: Vec<_> = (0..20).map(|i| jar(&ring, 0).seal(&flow(i)).unwrap()).collect();
        assert_eq!(jar(&ring, 0).read(&headers(&many)).distinct(8).len(), 8);
    }

    #[test]
    fn i7_the_client_id_is_authenticated() {
        let ring = Keyring::generate();
        let (name, value) = jar(&ring, 0).seal(&flow(0)).unwrap();
        let other = FlowJar { client_id: "another", ..jar(&ring, 0) };
        assert!(other.open(&name, &value).is_none());
    }

    #[test]
    fn c3_a_response_removes_at_most_sixteen_cookies() {
        let junk = (0..40).map(|i| (format!("{}{i}", POLICY.flow_prefix()), "x".to_owned()));
        let request = headers(&junk.collect::<Vec<_>>());
        let ring = Keyring::generate();
        assert_eq!(jar(&ring, 0).read(&request).make_room(Some(500)).len(), 16);
        assert_eq!(jar(&ring, 0).read(&request).remove_all().len(), 16);
    }

    #[test]
    fn s7_a_flow_cookie_over_four_kib_is_not_opened() {
        let ring = Keyring::generate();
        let mut flow = flow(0);
        for (len, opens) in [(2_500, true), (3_500, false)] {
            flow.return_to = "/".repeat(len);
            let (name, value) = jar(&ring, 0).seal(&flow).unwrap();
            assert_eq!(value.len() <= 4096, opens, "{}", value.len());
            assert_eq!(jar(&ring, 0).open(&name, &value).is_some(), opens);
        }
    }

    #[test]
    fn c2_a_foreign_cookie_name_is_not_echoed() {
        let prefix = POLICY.flow_prefix();
        let names = ["\u{e9}", "a b", "a\"", "a,b", "a%0d", &"x".repeat(50), "junk"];
        let cookies = names.map(|name| (format!("{prefix}{name}"), "junk".to_owned()));
        let request = headers(&cookies);
        let ring = Keyring::generate();
        let gone = jar(&ring, 0).read(&request).remove_all();
        let gone: Vec<_> = gone.iter().map(|set| set.to_str().unwrap()).collect();
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].starts_with("__Host-webflow-flow-junk=;"), "{gone:?}");
    }

    proptest! {
        #[test]
        fn the_cookie_budget_is_never_exceeded(lens in prop::collection::vec(1_usize..2048, 0..30)) {
            let ring = Keyring::from_bytes(&[4; 32]).unwrap();
            let mut cookies: Vec<(String, String)> = Vec::new();
            for (i, len) in lens.into_iter().enumerate() {
                let mut flow = flow(i as u64);
                flow.return_to = "/".repeat(len);
                let (name, value) = jar(&ring, 0).seal(&flow).unwrap();
                prop_assert!(name.len() + value.len() < 4096);
                let request = headers(&cookies);
                let gone = jar(&ring, i as u64)
                    .read(&request)
                    .make_room(Some(name.len() + value.len() + 1));
                cookies.retain(|(name, _)| {
                    !gone.iter().any(|set| set.to_str().unwrap().starts_with(name.as_str()))
                });
                cookies.push((name, value));
                prop_assert!(cookies.len() <= MAX_FLOWS);
                let total: usize = cookies.iter().map(|(n, v)| n.len() + v.len() + 1).sum();
                prop_assert!(total <= MAX_TOTAL_LEN);
            }
        }
    }
}

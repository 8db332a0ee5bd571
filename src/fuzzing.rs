//! What the fuzz targets call, and the replay of their corpus: one function for each door that
//! bytes of others come in by. Each says whether the bytes were accepted, and panics when
//! something holds that must not.
//!
//! Not part of the crate's interface: it exists only with the feature `_fuzzing`.
#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target tells what it has found"
)]

use std::time::Duration;

use http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::ExposeSecret;
use url::{Url, form_urlencoded};

use crate::api::WebflowErrorBody;
use crate::crypto::keyring::{Keyring, Purpose};
use crate::flow;
use crate::flow_state::cookie::{Flow, FlowError, FlowJar, FlowKind};
use crate::grant::scope::Scopes;
use crate::identity::session_cookie::Session;
use crate::identity::subject::Subject;
use crate::problem::catalog;
use crate::store::{GrantId, SealedToken, TokenKey, TokenVersion, time_from_unix_secs};
use crate::vault;
use crate::webflow::{read_answer, retry_after};
use crate::webhooks;
use crate::wire::cookies;
use crate::wire::cookies::CookiePolicy;
use crate::wire::query::{QueryError, single};
use crate::wire::return_to;

/// A target: its name, which is also that of its folder of seeds, and its function.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub const TARGETS: &[Target] = &[
    ("api_error", api_error),
    ("callback_query", callback_query),
    ("cookie_header", cookie_header),
    ("flow_cookie", flow_cookie),
    ("retry_after", retry_after_header),
    ("return_to", return_to_path),
    ("sealed_row", sealed_row),
    ("session_cookie", session_cookie),
    ("webflow_answer", webflow_answer),
    ("webhook_body", webhook_body),
    ("webhook_head", webhook_head),
];

static POLICY: CookiePolicy = CookiePolicy::new(true);
const LIFETIME: Duration = Duration::from_secs(900);
/// Every seed that is to be accepted was made at this time.
const NOW: u64 = 1_800_000_000;

fn jar(keyring: &Keyring) -> FlowJar<'_> {
    let (client_id, now) = ("client", NOW * 1000);
    FlowJar { policy: &POLICY, keyring, client_id, lifetime: LIFETIME, now }
}

/// The key of every seed.
fn keyring() -> Keyring {
    Keyring::from_bytes(&[7; 32]).expect("a key of 32 bytes")
}

/// A request's `Cookie` headers, one for each line: no bytes make reading fail, and what an answer
/// drops is bounded and ours. Accepted when a flow or a session is among them.
pub fn cookie_header(data: &[u8]) -> bool {
    let lines = data.split(|&byte| byte == b'\n');
    let headers: HeaderMap =
        lines.filter_map(|line| Some((COOKIE, HeaderValue::from_bytes(line).ok()?))).collect();
    let ring = keyring();
    let name = POLICY.session_name();
    let session = cookies::named(&headers, name)
        .any(|value| Session::verify(name, value, &ring, NOW).is_some());
    let flows = jar(&ring).read(&headers);
    let mine: Vec<_> = flows.open().cloned().collect();
    for flow in &mine {
        let found = jar(&ring).find(&headers, &flow.state);
        assert!(found.is_ok(), "a flow that is open is found by its state");
    }
    let removals = flows.remove_all();
    for set in removals.iter().chain(&flows.make_room(Some(500))) {
        let text = set.to_str().expect("a header of ours is text");
        assert!(text.starts_with(POLICY.flow_prefix()) && text.contains("=;"), "{text}");
        assert!(text.len() < 200 && text.ends_with("Max-Age=0"), "{text}");
    }
    assert!(removals.len() <= 16);
    session || !mine.is_empty()
}

/// A flow cookie's value, and the content of one whose seal is good. Accepted when a flow comes of
/// it.
pub fn flow_cookie(data: &[u8]) -> bool {
    let ring = keyring();
    let prefix = POLICY.flow_prefix();
    // As a value: whatever it is, it opens under no name that it was not sealed for.
    if let Ok(value) = HeaderValue::from_bytes(&[prefix.as_bytes(), b"x=", data].concat()) {
        let headers = HeaderMap::from_iter([(COOKIE, value)]);
        let flows = jar(&ring).read(&headers);
        assert_eq!(flows.open().count(), 0, "opened under another name");
    }
    // As a content, under a good seal: such as an earlier or later version might have written.
    let Ok(flow) = serde_json::from_slice::<Flow>(data) else {
        return false;
    };
    let Some((name, value)) = jar(&ring).seal(&flow) else {
        return false;
    };
    let Ok(cookie) = HeaderValue::from_str(&format!("{name}={value}")) else {
        return false;
    };
    let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
    for (now, lifetime) in [(0, LIFETIME), (NOW * 1000, LIFETIME), (u64::MAX, Duration::MAX)] {
        let jar = FlowJar { lifetime, now, ..jar(&ring) };
        let found = jar.find(&headers, &flow.state);
        assert_eq!(found.is_ok(), jar.is_open(&flow) && value.len() <= 4096);
        let elsewhere = jar.find(&headers, "another");
        assert!(flow.state == "another" || elsewhere.err() == Some(FlowError::Unknown));
        jar.read(&headers).make_room(Some(500));
    }
    jar(&ring).is_open(&flow) && flow.kind == FlowKind::Login
}

/// A session cookie's value, after eight bytes that say what time it is. Accepted when its
/// signature is good and it is not over.
pub fn session_cookie(data: &[u8]) -> bool {
    let Some((now, value)) = data.split_first_chunk::<8>() else {
        return false;
    };
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let (ring, name) = (keyring(), POLICY.session_name());
    let Some(session) = Session::verify(name, value, &ring, u64::from_be_bytes(*now)) else {
        return false;
    };
    assert_eq!(session.sign(name, &ring).as_deref(), Some(value), "one session, one spelling");
    assert!(Session::verify(CookiePolicy::new(false).session_name(), value, &ring, 0).is_none());
    true
}

/// A callback's query: read as the URL standard reads it, but strictly. Accepted when it has one
/// code of a sane form and one state.
pub fn callback_query(data: &[u8]) -> bool {
    let Ok(query) = std::str::from_utf8(data) else {
        return false;
    };
    let read = |name| {
        let found = single(query, name);
        let all: Vec<_> =
            form_urlencoded::parse(data).filter(|(key, _)| key == name).map(|(_, v)| v).collect();
        match &found {
            Ok(None) => assert!(all.is_empty(), "{name} was passed over in {query:?}"),
            Ok(Some(value)) => assert_eq!(all, [value.as_str()], "{name} in {query:?}"),
            Err(QueryError::Repeated) => assert!(all.len() > 1, "{name} in {query:?}"),
            Err(QueryError::NotUtf8) => assert!(all.iter().any(|v| v.contains('\u{fffd}'))),
        }
        found
    };
    let (state, code, error) = (read("state"), read("code"), read("error"));
    if let Ok(Some(error)) = &error {
        let known = flow::known_error(error);
        assert!(known == error || known == "unknown");
    }
    let code = code.ok().flatten().filter(|code| flow::is_well_formed(code));
    if let Some(code) = &code {
        assert!(code.len() <= 4096 && !code.chars().any(char::is_control));
    }
    code.is_some() && matches!(state, Ok(Some(_))) && error == Ok(None)
}

/// A path to return to: whatever it is, the browser stays on the origin. Accepted when it is not
/// replaced by the root.
pub fn return_to_path(data: &[u8]) -> bool {
    let Ok(asked) = std::str::from_utf8(data) else {
        return false;
    };
    let own = return_to::own_path(asked);
    assert!(own.starts_with('/') && own.len() <= 2048, "{asked:?} -> {own:?}");
    let header = HeaderValue::from_str(&own).expect("fit for a header");
    assert!(header.to_str().is_ok(), "in ASCII");
    assert_eq!(return_to::own_path(&own), own, "{asked:?} is not settled");
    for base in ["https://app.example.com/auth/webflow/callback", "http://127.0.0.1:3000/a/b?c"] {
        let base = Url::parse(base).expect("a base");
        // As it is, and as a proxy may pass it on that decodes it once or twice.
        let mut reference = own.clone();
        for _ in 0..3 {
            let resolved = base.join(&reference).expect("a path resolves");
            assert_eq!(resolved.origin(), base.origin(), "{asked:?} -> {reference:?}");
            let path = reference.split(['?', '#']).next().unwrap_or_default();
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
            reference = decoded.into_owned();
        }
    }
    own != "/"
}

/// What answers at Webflow's place: two bytes of status, then the body. Accepted when a token
/// comes of it.
pub fn webflow_answer(data: &[u8]) -> bool {
    let Some((status, body)) = data.split_first_chunk::<2>() else {
        return false;
    };
    // Any final status, from any two bytes.
    let Ok(status) = StatusCode::from_u16(200 + u16::from_be_bytes(*status) % 400) else {
        return false;
    };
    let (issued, known, _, logged) = read_answer(status, body);
    for text in &logged {
        assert!(text.len() < 400 && !text.contains(char::is_control), "{text:?}");
    }
    assert!(status.is_success() || (issued.is_none() && !known));
    let Some(issued) = issued else {
        return false;
    };
    let token = issued.access_token.expose_secret();
    assert!((1..=4096).contains(&token.len()));
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    assert!(bearer.is_ok_and(|it| it.to_str().is_ok_and(|it| it.split(' ').count() == 2)));
    if let Some(scopes) = issued.scopes {
        assert_eq!(Scopes::parse_lenient(&scopes.to_string()), scopes);
    }
    true
}

/// The body of an error answer of the Data API. Accepted when it has a code.
pub fn api_error(data: &[u8]) -> bool {
    let body: WebflowErrorBody = serde_json::from_slice(data).unwrap_or_default();
    let text = body.to_string();
    assert!(text.chars().count() <= 402 && !text.contains(char::is_control), "{text:?}");
    let known = !body.code.is_empty();
    let without = body.without("hunter2");
    assert!(!format!("{without:?}").contains("hunter2"));
    known
}

/// A row, as a store that keeps documents reads it; and the content of one whose seal is good.
/// Accepted when a grant comes of it.
pub fn sealed_row(data: &[u8]) -> bool {
    let ring = keyring();
    if let Ok(row) = serde_json::from_slice::<SealedToken>(data) {
        assert!(row.version().as_i64() >= 0 && row.key().subject().validate().is_ok());
        row.obtained_at();
        return vault::unseal(&ring, &row).is_some();
    }
    let key = TokenKey::new(Subject::user(7), GrantId::default());
    let Some(version) = TokenVersion::from_i64(1) else {
        return false;
    };
    let sealed = ring.seal(Purpose::Token, &vault::context(&key, version), data);
    let row = SealedToken::new(key, version, sealed, time_from_unix_secs(NOW));
    vault::unseal(&ring, &row).is_some()
}

/// A `Retry-After` header. Accepted when it is in seconds or a date.
pub fn retry_after_header(data: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return false;
    };
    let wait = retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), time_from_unix_secs(NOW));
    if let Some(wait) = wait {
        let problem = catalog::webflow_busy(None);
        let answer = problem.retry_after(wait).json();
        let sent = answer.headers()[RETRY_AFTER].to_str().expect("a number");
        assert!(sent.parse::<u64>().is_ok_and(|sent| sent >= wait.as_secs().max(1)));
        assert!(!answer.headers().contains_key(SET_COOKIE));
    }
    wait.is_some()
}

/// The headers of a webhook, one a line: a letter for the name, then the value. Accepted when the
/// body would be read.
pub fn webhook_head(data: &[u8]) -> bool {
    webhooks::fuzz::head(data)
}

/// The body of a webhook under a good signature. Accepted when the handler would run.
pub fn webhook_body(data: &[u8]) -> bool {
    webhooks::fuzz::body(data)
}

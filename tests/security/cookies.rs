//! Attacks through cookies: group C of the threat model.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, extract::Request};
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{WebflowAuthLayer, WebflowToken, config::CacheConfig};

use crate::support::hostile::{
    Answer, CALLBACK, HOST, Https, LOGIN, LOGOUT, ORIGIN, begin, cookie_line, cookies_set, headers,
    raw, raw_get, raw_request,
};
use crate::support::{App, router};

const NAVIGATE: &str = "Sec-Fetch-Mode: navigate";
const SESSION: &str = "webflow-session";

async fn https() -> Https {
    Https::start(|builder| builder, router).await
}

/// The attributes of a `Set-Cookie` value, in lower case and sorted.
fn attributes(set: &str) -> Vec<String> {
    let mut all: Vec<_> = set.split("; ").skip(1).map(str::to_lowercase).collect();
    all.retain(|attribute| !attribute.starts_with("max-age="));
    all.sort();
    all
}

async fn home(app: &App, cookies: &str) -> String {
    raw_get(app, "/", &[cookies]).await.body
}

mod c1 {
    use super::*;

    #[tokio::test]
    async fn every_cookie_of_an_https_flow_is_host_bound() {
        let app = https().await;
        let (challenge, done) = app.connect("/whoami").await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/whoami"));
        let logout = app.ask("POST", LOGOUT, &[("origin", ORIGIN), ("cookie", &done.jar())]).await;
        assert_eq!(logout.status, StatusCode::NO_CONTENT);
        let mut seen = 0;
        for set in [&challenge, &done, &logout].iter().flat_map(|answer| answer.set_cookies()) {
            assert_eq!(attributes(set), ["httponly", "path=/", "samesite=lax", "secure"], "{set}");
            assert!(set.starts_with("__Host-webflow-"), "{set}");
            assert_eq!(set.to_lowercase().matches("max-age=").count(), 1, "{set}");
            seen += 1;
        }
        assert_eq!(seen, 4, "a flow, its end, a session, its end");
        let [flow] = challenge.set_cookies().try_into().unwrap();
        assert!(flow.ends_with("Max-Age=900"), "{flow}");
        let session = done.set_cookies().into_iter().find(|set| set.contains("session=")).unwrap();
        assert!(session.ends_with("Max-Age=2592000"), "{session}");
        assert!(logout.set_cookies()[0].ends_with("Max-Age=0"), "a removal has no value to keep");
        let page = app.visit("/whoami", &done.jar()).await;
        assert_ne!(page.status, StatusCode::OK, "the session has ended");
    }

    #[tokio::test]
    async fn partitioned_cookies_are_removed_as_they_were_set() {
        let in_frames = |builder: tower_webflow_auth::config::WebflowAuthBuilder| {
            builder.insecure_cookies_in_frames(true)
        };
        let app = Https::start(in_frames, router).await;
        let (challenge, done) = app.connect("/whoami").await;
        for set in challenge.set_cookies().into_iter().chain(done.set_cookies()) {
            let expected = ["httponly", "partitioned", "path=/", "samesite=none", "secure"];
            assert_eq!(attributes(set), expected, "{set}");
        }
        // Browsers send such cookies with requests from other sites.
        for hostile in [
            vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            vec![("sec-fetch-site", "same-site")],
            vec![("origin", "null")],
            vec![],
        ] {
            let mut given = hostile.clone();
            let jar = done.jar();
            given.push(("cookie", &jar));
            let refused = app.ask("POST", LOGOUT, &given).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{hostile:?}");
            assert!(refused.set_cookies().is_empty());
        }
        assert_eq!(app.visit("/whoami", &done.jar()).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn debug_and_header_traces_hide_cookie_values() {
        let app = https().await;
        let (challenge, done) = app.connect("/whoami").await;
        for answer in [challenge, done] {
            let shown = format!("{:?}", answer.headers);
            for (_, value) in cookies_set(answer.set_cookies()) {
                assert!(value.is_empty() || !shown.contains(&value), "{shown}");
            }
        }
    }
}

mod c2 {
    use super::*;

    #[tokio::test]
    async fn tossed_cookie_changes_nothing() {
        let app = https().await;
        let (_, done) = app.connect("/whoami").await;
        let (_, attackers) = app.connect("/whoami").await;
        let (mine, theirs) = (done.jar(), attackers.jar());
        let whoami = |answer: Answer| {
            assert_eq!(answer.status, StatusCode::OK);
            serde_json::from_str::<serde_json::Value>(&answer.text).unwrap()["subject"].clone()
        };
        let honest = whoami(app.visit("/whoami", &mine).await);
        let value = theirs.split_once('=').unwrap().1;
        // Without the prefix, any host of the domain can set them, even over plain http.
        for tossed in [
            format!("{SESSION}={value}; {mine}"),
            format!("{mine}; {SESSION}={value}"),
            format!("__host-{SESSION}={value}; {mine}"),
            format!("__Secure-{SESSION}={value}; {mine}"),
            format!("__Host-{SESSION}=junk; {mine}"),
            format!("__Host-{SESSION}; {mine}"),
            format!("__Host-{SESSION}=; {mine}"),
            format!("=__Host-{SESSION}={value}; {mine}"),
            format!("__Host-{SESSION}x={value}; {mine}"),
        ] {
            assert_eq!(whoami(app.visit("/whoami", &tossed).await), honest, "{tossed}");
        }
        for alone in [format!("{SESSION}={value}"), format!("__host-{SESSION}={value}")] {
            let page = app.visit("/", &alone).await;
            assert_eq!(page.text, "not connected", "{alone}");
        }
    }

    #[tokio::test]
    async fn tossed_flow_cookie_is_not_a_flow() {
        let app = https().await;
        let attackers = app.visit("/whoami", "").await;
        let callback = app.fake.approve(attackers.location()).unwrap();
        let target = format!("{CALLBACK}?{}", callback.query().unwrap());
        // Another host cannot set the `__Host-` prefix, and the encryption is bound to the full
        // name.
        let tossed = attackers.jar().replace("__Host-", "");
        for cookies in [tossed.clone(), tossed.replace("webflow-", "__host-webflow-")] {
            let answer = app.visit(&target, &cookies).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert!(answer.set_cookies().is_empty());
        }
        assert!(app.fake.requests_to("/oauth/access_token").is_empty());
    }

    #[tokio::test]
    async fn same_one_of_two_valid_sessions_is_used() {
        let app = App::start().await;
        let (mut ada, mut bob) = (app.connected().await, app.connected().await);
        let value = |browser: &TestBrowser| browser.cookies(HOST)[0].1.clone();
        let both = format!("Cookie: {SESSION}={}; {SESSION}={}", value(&ada), value(&bob));
        app.clock.advance(Duration::from_secs(60));
        let cold = raw_get(&app, "/whoami", &[&both]).await.body;
        let mut answers = vec![cold];
        for browser in [&mut ada, &mut bob] {
            // Long enough for every cache entry to expire. Then one of the two is looked up again.
            app.clock.advance(Duration::from_secs(60));
            for _ in 0..3 {
                browser.visit(&app.url("/whoami")).await.unwrap();
            }
            answers.push(raw_get(&app, "/whoami", &[&both]).await.body);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
}

mod c3 {
    use super::*;

    #[tokio::test]
    async fn odd_and_many_cookies_are_parsed_or_skipped() {
        let app = App::start().await;
        let browser = app.connected().await;
        let (name, value) = browser.cookies(HOST)[0].clone();
        let hundred: String = (0..100).map(|i| format!("c{i}={i}; ")).collect();
        let quoted = "q=\"a; b\"; ".repeat(20);
        let sixteen_kib = format!("junk={}; ", "x".repeat(16 * 1024));
        for (prefix, suffix) in [
            (hundred.as_str(), ""),
            ("", "; a=b"),
            (sixteen_kib.as_str(), ""),
            (quoted.as_str(), ""),
            (";;;; ; ;", ";;"),
            ("=; ==; =a; a; \u{1f980}=1; ", ""),
            ("webflow-session; webflow-session=; ", "; webflow-session"),
            ("\t  ", "  \t"),
            ("$Version=1; ", "; $Path=/"),
            ("a=b,", ""),
        ] {
            let line = format!("Cookie: {prefix}{name}={value}{suffix}");
            let answer = raw_get(&app, "/", &[&line]).await;
            assert_eq!(answer.status, 200, "{prefix:.40}");
            // A comma does not separate cookies: the text before it belongs to the other cookie.
            let expected = if prefix == "a=b," { "not connected" } else { "connected" };
            assert_eq!(answer.body, expected, "{prefix:.40}");
        }
        let lines = ["Cookie: a=b", &format!("Cookie: {name}={value}"), "cookie: c=d"];
        assert_eq!(raw_get(&app, "/", &lines).await.body, "connected", "several headers");
        let mut bytes =
            format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {name}=")
                .into_bytes();
        bytes.extend_from_slice(b"\xff\xfe\xc0; ");
        bytes.extend_from_slice(format!("{name}={value}\r\n\r\n").as_bytes());
        assert_eq!(raw(&app, bytes).await.body, "connected", "bytes that are no text");
    }

    #[tokio::test]
    async fn largest_cookie_header_is_parsed_quickly() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let state = begin(&app, &mut browser, "/sites").await;
        let honest = browser.cookies(HOST)[0].clone();
        for junk in [
            format!("{SESSION}=A;"),
            format!("{SESSION}={};", "A".repeat(160)),
            format!("{}=A;", honest.0),
            format!("{}={};", honest.0, "A".repeat(700)),
            "webflow-flow-A=A;".to_owned(),
            ";".to_owned(),
            "=".to_owned(),
            "\";".to_owned(),
        ] {
            let many = junk.repeat(300 * 1024 / junk.len());
            let line = format!("Cookie: {many}");
            let unknown = format!("{CALLBACK}?code=x&state={state}y");
            let known = format!("{CALLBACK}?code=x&state={state}");
            for target in ["/", "/sites", &unknown, &known] {
                let started = Instant::now();
                let answer = raw_get(&app, target, &[&line, NAVIGATE]).await;
                assert!(answer.status > 0 && answer.status < 500, "{junk:.30} {target}");
                assert!(started.elapsed() < Duration::from_secs(3), "{junk:.30} {target}");
            }
        }
    }

    #[tokio::test]
    async fn junk_flow_cookies_do_not_bloat_the_response() {
        let app = App::start().await;
        let junk: String = (0..180).map(|i| format!("webflow-flow-{i}=x; ")).collect();
        let line = format!("Cookie: {junk}");
        for target in ["/sites", LOGIN] {
            let answer = raw_get(&app, target, &[NAVIGATE, &line]).await;
            assert_eq!(answer.status, 303);
            assert!(answer.head.len() < 8 * 1024, "{target}: {} bytes", answer.head.len());
        }
        let origin = format!("Origin: {}", app.url(""));
        let lines = [line.as_str(), &origin, "Content-Length: 0"];
        let answer = raw_request(&app, "POST", LOGOUT, &lines).await;
        assert_eq!(answer.status, 204);
        assert!(answer.head.len() < 8 * 1024, "logout: {} bytes", answer.head.len());
    }

    #[tokio::test]
    async fn flow_completes_among_a_hundred_junk_flow_cookies() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let (name, value) = browser.cookies(HOST)[0].clone();
        let junk: String = (0..100).map(|i| format!("webflow-flow-{i}=x; ")).collect();
        let same: String = (0..60).map(|i| format!("{name}=tossed{i}; ")).collect();
        let line = format!("Cookie: {junk}{same}{name}={value}");
        let target = callback.strip_prefix(&app.url("")).unwrap();
        let answer = raw_get(&app, target, &[&line, NAVIGATE]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/sites")));
    }
}

/// A handler that finds its token dead, inside a middleware that sets a cookie.
fn reauthorizing(auth: &WebflowAuthLayer) -> Router {
    async fn adds_a_cookie(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        let cookie = "own=1; Path=/".parse().unwrap();
        response.headers_mut().append("set-cookie", cookie);
        response
    }
    let handler = |token: WebflowToken| async move { token.reauthorize().into_response() };
    Router::new()
        .route("/x", get(handler))
        .layer(middleware::from_fn(adds_a_cookie))
        .layer(auth.clone())
}

mod c4 {
    use super::*;

    #[tokio::test]
    async fn handler_cookies_survive_recovery_from_a_401() {
        let app = App::with_router(|builder| builder, reauthorizing).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, LOGIN).await;
        browser.step(&callback).await.unwrap();
        let page = browser.step(&app.url("/x")).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "a new consent");
        let set = page.set_cookies();
        assert!(set.iter().any(|set| set.starts_with("webflow-flow-")), "ours: {set:?}");
        assert!(set.contains(&"own=1; Path=/"), "the application's: {set:?}");
    }
}

mod c6 {
    use super::*;

    #[tokio::test]
    async fn session_expires_by_the_server_clock() {
        for cache in [CacheConfig::new(), CacheConfig::off(), CacheConfig::new().ttl(Duration::MAX)]
        {
            let lifetime = Duration::from_secs(600);
            let app = App::with(|builder| builder.session_lifetime(lifetime).cache(cache)).await;
            let browser = app.connected().await;
            let cookies = cookie_line(&browser);
            assert_eq!(home(&app, &cookies).await, "connected");
            app.clock.advance(lifetime.checked_sub(Duration::from_secs(2)).unwrap());
            assert_eq!(home(&app, &cookies).await, "connected");
            assert_eq!(home(&app, &cookies).await, "connected", "and it is in the cache now");
            app.clock.advance(Duration::from_secs(3));
            assert_eq!(home(&app, &cookies).await, "not connected");
            let answer = raw_get(&app, "/whoami", &[&cookies, NAVIGATE]).await;
            assert_eq!(answer.status, 303, "a new flow");
        }
    }

    #[tokio::test]
    async fn repeated_callbacks_do_not_extend_a_session() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let mut keeper = browser.clone();
        browser.step(&callback).await.unwrap();
        app.clock.advance(Duration::from_secs(15 * 60));
        let page = keeper.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        assert!(page.set_cookies().is_empty());
    }
}

mod s11 {
    use super::*;

    #[tokio::test]
    async fn login_never_sets_a_cookie_that_browsers_reject() {
        let app = App::start().await;
        let scopes: Vec<_> = (0..60).map(|i| format!("{}{i}:read", "x".repeat(50))).collect();
        for (what, target) in [
            ("scopes", format!("{LOGIN}?scope={}", scopes.join("%20"))),
            ("a path", format!("{LOGIN}?return_to=/{}", "x".repeat(2047))),
            ("a path in need of encoding", format!("{LOGIN}?return_to=/{}", "%22".repeat(680))),
            (
                "both",
                format!("{LOGIN}?return_to=/{}&scope={}", "x".repeat(2000), scopes.join("%20")),
            ),
        ] {
            let answer = raw_get(&app, &target, &[NAVIGATE]).await;
            assert!([303, 400, 414].contains(&answer.status), "{what}: {}", answer.status);
            for set in answer.headers("set-cookie") {
                let pair = set.split(';').next().unwrap();
                assert!(pair.len() <= 4096, "{what}: a cookie of {} bytes", pair.len());
            }
        }
    }

    #[tokio::test]
    async fn cookies_with_a_session_stay_within_8_kib() {
        let app = App::start().await;
        let mut longest = 0;
        for length in (400..700).step_by(10) {
            let mut browser = app.connected().await;
            for i in 0..9 {
                app.clock.advance(Duration::from_secs(1));
                let path = format!("{LOGIN}?return_to=/{i}{}", "x".repeat(length));
                let page = browser.step(&app.url(&path)).await.unwrap();
                assert_eq!(page.status, StatusCode::SEE_OTHER);
                longest = longest.max(sent(&browser));
            }
        }
        assert!(longest <= 8192, "{longest} bytes");
    }
}

/// The `Cookie` header that a browser sends, in bytes.
fn sent(browser: &TestBrowser) -> usize {
    cookie_line(browser).len() - "Cookie: ".len()
}

#[tokio::test]
async fn existing_session_is_not_replaced_unasked() {
    let app = App::start().await;
    let browser = app.connected().await;
    let cookies = cookie_line(&browser);
    let unknown = format!("{CALLBACK}?code=x&state=y");
    for (method, target) in [
        ("GET", "/whoami"),
        ("GET", LOGIN),
        ("GET", &unknown),
        ("GET", "/auth/webflow/callback?code=x"),
        ("GET", "/auth/webflow/callback?error=access_denied"),
        ("HEAD", CALLBACK),
    ] {
        let answer = raw_request(&app, method, target, &[&cookies, NAVIGATE]).await;
        for (name, _) in cookies_set(answer.headers("set-cookie")) {
            assert_ne!(name, SESSION, "{method} {target}");
        }
    }
    assert_eq!(home(&app, &cookies).await, "connected");
}

#[tokio::test]
async fn session_outside_the_cookie_header_is_ignored() {
    let app = App::start().await;
    let mut browser = app.connected().await;
    let (name, value) = browser.cookies(HOST)[0].clone();
    browser.drop_cookies("");
    for given in [
        headers(&[("authorization", &format!("Bearer {value}"))]),
        headers(&[("cookie2", &format!("{name}={value}"))]),
        headers(&[("set-cookie", &format!("{name}={value}"))]),
        headers(&[(name.as_str(), &value)]),
    ] {
        let page = browser.send(Method::GET, &app.url("/"), &given, None).await.unwrap();
        assert_eq!(page.text, "not connected", "{given:?}");
    }
    let target = app.url(&format!("/?{name}={value}"));
    assert_eq!(browser.visit(&target).await.unwrap().text, "not connected");
}

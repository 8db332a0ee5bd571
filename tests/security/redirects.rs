//! Attacks through redirects, request targets and headers: group R of the threat model.

use axum::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower_webflow_auth::testing::{Page, TestBrowser};

use crate::support::App;
use crate::support::hostile::{
    CALLBACK, HOST, LOGIN, LOGOUT, RawAnswer, assert_no_exchange, begin, cookie_line, cookies_set,
    headers, parameter, raw, raw_get, raw_request,
};

const NAVIGATE: &str = "Sec-Fetch-Mode: navigate";

/// How a browser resolves a `Location` on any page.
fn resolved(app: &App, location: &str) -> url::Url {
    url::Url::parse(&app.url(CALLBACK)).unwrap().join(location).unwrap()
}

fn assert_own_page(app: &App, location: &str, hostile: &str) {
    let url = resolved(app, location);
    assert_eq!(url.origin().ascii_serialization(), app.url(""), "{hostile:?} leads to {url}");
    assert!(![CALLBACK, LOGIN, LOGOUT].contains(&url.path()), "{hostile:?} leads to {url}");
    assert!(location.is_ascii() && !location.contains(['\r', '\n', '\\']), "{location:?}");
}

/// Completes the flow that a raw response started, and returns where the browser is redirected.
async fn location_after_login(app: &App, challenge: &RawAnswer) -> String {
    assert_eq!(challenge.status, 303, "{}", challenge.head);
    let mut browser = TestBrowser::new();
    for (name, value) in cookies_set(challenge.headers("set-cookie")) {
        browser.set_cookie(HOST, &name, &value);
    }
    let callback = app.fake.approve(challenge.header("location").unwrap()).unwrap();
    let back = browser.step(callback.as_str()).await.unwrap();
    back.headers["location"].to_str().unwrap().to_owned()
}

mod r1 {
    use super::*;

    #[tokio::test]
    async fn hostile_return_to_stays_on_the_origin_even_if_double_encoded() {
        let app = App::start().await;
        let long = format!("/{}", "a/".repeat(1500));
        for hostile in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\\/evil.example",
            "https:evil.example",
            "https://evil.example",
            "HTTPS://evil.example",
            "https:/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/\u{0}/evil.example",
            "/\u{7f}/evil.example",
            "/\u{85}/evil.example",
            "/\u{2028}/evil.example",
            "/\u{ff0f}evil.example",
            "javascript:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "blob:https://app/x",
            "//app@evil.example",
            "@evil.example",
            ".evil.example",
            ":80/x",
            "/.//evil.example",
            "/..//evil.example",
            "/a/..//evil.example",
            "/%2e%2e//evil.example",
            "/x\r\nSet-Cookie: a=b",
            "/x\r\n\r\n<script>alert(1)</script>",
            "?//evil.example",
            "#//evil.example",
            "",
            &long,
        ] {
            let once = utf8_percent_encode(hostile, NON_ALPHANUMERIC).to_string();
            let twice = utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string();
            for encoded in [once, twice] {
                let target = format!("{LOGIN}?return_to={encoded}");
                let challenge = raw_get(&app, &target, &[NAVIGATE]).await;
                let location = location_after_login(&app, &challenge).await;
                assert_own_page(&app, &location, hostile);
            }
        }
    }

    #[tokio::test]
    async fn request_target_never_leads_off_the_origin() {
        let app = App::start().await;
        for target in [
            "//evil.example",
            "//evil.example/%2e%2e",
            "/\\evil.example",
            "/%5Cevil.example",
            "/%2F/evil.example",
            "/.//evil.example",
            "/x/..//evil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:%20a=b",
            "/;@evil.example",
            "/sites?next=//evil.example",
            "http://evil.example/sites",
            "http://evil.example//evil.example/",
        ] {
            let answer = raw_get(&app, target, &[NAVIGATE]).await;
            if answer.status == 303 {
                let location = location_after_login(&app, &answer).await;
                assert_own_page(&app, &location, target);
            } else {
                assert!((400..500).contains(&answer.status), "{target}: {}", answer.head);
            }
            let script = raw_get(&app, target, &["Accept: application/json"]).await;
            let login_url = serde_json::from_str::<serde_json::Value>(&script.body)
                .ok()
                .and_then(|problem| problem["login_url"].as_str().map(str::to_owned));
            if let Some(login_url) = login_url {
                assert!(login_url.starts_with(LOGIN), "{target}: {login_url}");
            }
        }
    }

    #[tokio::test]
    async fn dot_segments_do_not_lead_to_the_endpoints() {
        let app = App::start().await;
        for hostile in [
            "/./auth/webflow/login",
            "/x/../auth/webflow/login",
            "/auth/webflow/x/%2e%2e/login?return_to=%2Fsites",
            "/auth/webflow/./callback?code=x",
            "/auth/webflow/%2E/logout",
        ] {
            let encoded = utf8_percent_encode(hostile, NON_ALPHANUMERIC);
            let answer = raw_get(&app, &format!("{LOGIN}?return_to={encoded}"), &[NAVIGATE]).await;
            let location = location_after_login(&app, &answer).await;
            assert_own_page(&app, &location, hostile);
        }
        let answer = raw_get(&app, "/x/../auth/webflow/login", &[NAVIGATE]).await;
        let location = location_after_login(&app, &answer).await;
        assert_own_page(&app, &location, "the request's own target");
    }

    #[tokio::test]
    async fn htmx_never_redirects_to_another_origin() {
        let app = App::start().await;
        let own = app.url("");
        for current in [
            "https://evil.example/x",
            "//evil.example/x",
            "javascript:alert(1)",
            &format!("{own}.evil.example/x"),
            &format!("{own}@evil.example/x"),
            &format!("http://evil@{}/x", app.address),
            &format!("{own}//evil.example"),
            &format!("{own}/\\evil.example"),
            &format!("{own}{LOGOUT}"),
            "null",
        ] {
            let line = format!("HX-Current-URL: {current}");
            let answer = raw_get(&app, "/sites", &["HX-Request: true", &line]).await;
            assert_eq!(answer.status, 401, "{current}");
            assert!(answer.headers("set-cookie").is_empty());
            let redirects = answer.headers("hx-redirect");
            assert_eq!(redirects.len(), 1, "{current}");
            let return_to = parameter(redirects[0], "return_to");
            assert!(["%2F", "%2Fsites"].contains(&return_to.as_str()), "{current}: {return_to}");
        }
        let both = ["HX-Request: true", "HX-Current-URL: https://evil.example/x"];
        let own_page = format!("HX-Current-URL: {own}/deep/path");
        let answer = raw_get(&app, "/sites", &[both[0], both[1], &own_page]).await;
        assert!(!answer.head.contains("evil"), "{}", answer.head);
    }
}

mod r2 {
    use super::*;

    #[tokio::test]
    async fn host_headers_change_nothing_in_responses() {
        let app = App::start().await;
        let honest = raw_get(&app, "/sites", &[NAVIGATE]).await;
        let expected = parameter(honest.header("location").unwrap(), "redirect_uri");
        for spoofed in [
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Prefix: //evil.example",
            "X-Forwarded-Port: 1",
            "X-Host: evil.example",
            "X-Original-Host: evil.example",
            "X-Original-URL: /auth/webflow/callback?code=x",
            "X-Rewrite-URL: /auth/webflow/logout",
            "Forwarded: for=1.2.3.4;host=evil.example;proto=https",
            "Origin: https://evil.example",
            "Referer: https://evil.example/",
            "Via: 1.1 evil.example",
        ] {
            let answer = raw_get(&app, "/sites", &[NAVIGATE, spoofed]).await;
            let location = answer.header("location").unwrap();
            assert!(location.starts_with(app.fake.base_url()), "{spoofed}: {location}");
            assert_eq!(parameter(location, "redirect_uri"), expected, "{spoofed}");
            assert!(!answer.head.to_lowercase().contains("secure"), "{spoofed}: {}", answer.head);
        }
        for host in ["evil.example", "evil.example:1", "\u{e9}vil.example", ""] {
            let request = format!(
                "GET /sites HTTP/1.1\r\nHost: {host}\r\n{NAVIGATE}\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&app, request).await;
            if answer.status == 303 {
                let location = answer.header("location").unwrap();
                assert_eq!(parameter(location, "redirect_uri"), expected, "{host}");
            }
            assert!(!answer.head.contains("evil"), "{}", answer.head);
        }
    }
}

mod r3 {
    use super::*;

    #[tokio::test]
    async fn logout_and_error_pages_stay_on_the_origin() {
        let app = App::start().await;
        for hostile in ["//evil.example", "/%5Cevil.example", "https:evil.example", "/%0d%0ax:%20y"]
        {
            let target = format!("{LOGOUT}?return_to={hostile}");
            let origin = format!("Origin: {}", app.url(""));
            let lines = [origin.as_str(), NAVIGATE, "Content-Length: 0"];
            let answer = raw_request(&app, "POST", &target, &lines).await;
            assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{hostile}");

            let target = format!("{CALLBACK}?error=access_denied&return_to={hostile}");
            let answer = raw_get(&app, &target, &["Accept: text/html"]).await;
            assert!(!answer.body.contains("evil"), "{}", answer.body);
        }
        let twice = format!("{LOGOUT}?return_to=/a&return_to=//evil.example");
        let origin = format!("Origin: {}", app.url(""));
        let lines = [origin.as_str(), NAVIGATE, "Content-Length: 0"];
        let answer = raw_request(&app, "POST", &twice, &lines).await;
        assert_eq!(answer.header("location"), Some("/"));
        let answer =
            raw_get(&app, &format!("{LOGIN}?return_to=/a&return_to=//evil"), &[NAVIGATE]).await;
        assert_eq!(answer.status, 400);
        assert!(answer.headers("set-cookie").is_empty());
    }
}

/// R4 for one response: not cached, not in `Referer`, and not sniffed.
fn assert_guarded(answer: &RawAnswer, what: &str) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.headers(name), [value], "{what}: {}", answer.head);
    }
    if answer.header("content-type").is_some_and(|it| it.starts_with("text/html")) {
        let policy = answer.header("content-security-policy").expect("a policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!answer.body.contains("<script") && !answer.body.contains("onclick"), "{what}");
    }
}

mod r4 {
    use super::*;

    #[tokio::test]
    async fn every_response_has_security_headers() {
        let app = App::start().await;
        let origin = format!("Origin: {}", app.url(""));
        let html = "Accept: text/html";
        let mut browser = TestBrowser::new();
        let state = begin(&app, &mut browser, "/sites").await;
        let cookies = cookie_line(&browser);
        let failing = format!("{CALLBACK}?code=not-a-code&state={state}");
        let unknown = format!("{CALLBACK}?code=x&state=y");
        for (method, target, lines) in [
            ("GET", "/sites", vec![NAVIGATE]),
            ("HEAD", "/sites", vec![NAVIGATE]),
            ("GET", "/sites", vec!["Accept: application/json"]),
            ("POST", "/sites", vec![html, "Content-Length: 0"]),
            ("GET", "/sites", vec!["HX-Request: true"]),
            ("GET", LOGIN, vec![NAVIGATE]),
            ("HEAD", LOGIN, vec![NAVIGATE]),
            ("POST", LOGIN, vec![html, "Content-Length: 0"]),
            ("GET", LOGIN, vec![html, "Sec-Purpose: prefetch"]),
            ("GET", "/auth/webflow/login?scope=%3Cb%3E", vec![html]),
            ("GET", CALLBACK, vec![html]),
            ("GET", CALLBACK, vec!["Accept: application/json"]),
            ("HEAD", CALLBACK, vec![html]),
            ("DELETE", CALLBACK, vec![html]),
            ("GET", "/auth/webflow/callback?code=x", vec![NAVIGATE]),
            ("GET", "/auth/webflow/callback?error=access_denied", vec![html]),
            ("GET", "/auth/webflow/callback?code=a&code=b", vec![html]),
            ("GET", &unknown, vec![html]),
            ("GET", &failing, vec![html, &cookies]),
            ("GET", LOGOUT, vec![html]),
            ("POST", LOGOUT, vec![html, "Content-Length: 0"]),
            ("POST", LOGOUT, vec![&origin, "Content-Length: 0"]),
            ("POST", LOGOUT, vec![&origin, NAVIGATE, "Content-Length: 0"]),
        ] {
            let answer = raw_request(&app, method, target, &lines).await;
            assert!(answer.status >= 200, "{method} {target} {lines:?}");
            assert_guarded(&answer, &format!("{method} {target} {lines:?}"));
        }
    }
}

mod r5 {
    use super::*;

    #[tokio::test]
    async fn callback_response_has_no_code_state_or_secret() {
        let app = App::start().await;
        let code = "a-code-that-must-not-come-back";
        let secret = app.fake.client_secret().to_owned();
        let mut browser = TestBrowser::new();
        let state = begin(&app, &mut browser, "/sites").await;
        for query in [
            format!("code={code}&state={state}"),
            format!("code={code}&state={state}&state={state}"),
            format!("code={code}&state=unknown"),
            format!("code={code}"),
            format!("code={code}&error=access_denied&state={state}"),
            format!("code={code}&error={code}"),
            format!("code={code}%0d%0a&state={state}"),
        ] {
            for accept in ["text/html", "application/json"] {
                let target = app.url(&format!("{CALLBACK}?{query}"));
                let given = headers(&[("accept", accept)]);
                let mut browser = browser.clone();
                let page: Page = browser.send(Method::GET, &target, &given, None).await.unwrap();
                let mut all = page.text.clone();
                for (name, value) in &page.headers {
                    all.push_str(name.as_str());
                    all.push_str(value.to_str().unwrap());
                }
                for (what, hidden) in [("code", code), ("state", &state), ("secret", &secret)] {
                    assert!(!all.contains(hidden), "the {what} is in the answer to {query}");
                }
            }
        }
    }
}

mod r6 {
    use super::*;

    #[tokio::test]
    async fn only_the_exact_path_is_an_endpoint() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let state = begin(&app, &mut browser, "/sites").await;
        let cookies = cookie_line(&browser);
        let host = app.address;
        for path in [
            "/auth/webflow/callback/",
            "//auth/webflow/callback",
            "/auth/webflow//callback",
            "/auth/./webflow/callback",
            "/x/../auth/webflow/callback",
            "/auth/webflow/callback%00",
            "/auth/webflow/callback%20",
            "/auth/webflow/callback;jsessionid=1",
            "/auth%2Fwebflow/callback",
            "/%61uth/webflow/callback",
            "/auth/webflow/CALLBACK",
            "/auth\\webflow\\callback",
        ] {
            let target = format!("{path}?code=x&state={state}");
            let answer = raw_get(&app, &target, &[&cookies, "Accept: application/json"]).await;
            assert!([400, 401, 404].contains(&answer.status), "{path}: {}", answer.head);
            assert_no_exchange(&app);
        }
        for target in [
            "/./whoami".to_owned(),
            "//whoami".to_owned(),
            "/x/../whoami".to_owned(),
            "/%77hoami".to_owned(),
            "/whoami/".to_owned(),
            "/whoami?/auth/webflow/callback".to_owned(),
            "/whoami#/auth/webflow/callback".to_owned(),
            format!("http://{host}/whoami"),
            "http://evil.example/whoami".to_owned(),
            format!("HTTP://{host}/whoami"),
        ] {
            for method in ["GET", "HEAD", "POST", "TRACE", "PROPFIND", "get"] {
                let lines = ["Accept: application/json", "Content-Length: 0"];
                let answer = raw_request(&app, method, &target, &lines).await;
                assert!(
                    [400, 401, 404].contains(&answer.status),
                    "{method} {target}: {}",
                    answer.head
                );
                assert!(!answer.body.contains("\"subject\""), "{method} {target}");
            }
        }
    }

    #[tokio::test]
    async fn absolute_target_is_matched_by_its_path_only() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let query = callback.split_once('?').unwrap().1;
        let target = format!("http://evil.example{CALLBACK}?{query}");
        let answer = raw_get(&app, &target, &[&cookie_line(&browser), NAVIGATE]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/sites")));
        assert!(!answer.head.contains("evil"), "{}", answer.head);
        assert_eq!(app.fake.live_tokens(), 1);
        let challenge = raw_get(&app, "http://evil.example/sites", &[NAVIGATE]).await;
        assert_eq!(location_after_login(&app, &challenge).await, "/sites");
    }
}

mod r7 {
    use super::*;

    #[tokio::test]
    async fn no_header_overrides_the_method() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
            let line = format!("{name}: POST");
            let origin = format!("Origin: {}", app.url(""));
            let cookies = cookie_line(&browser);
            let answer = raw_get(&app, LOGOUT, &[&line, &origin, &cookies]).await;
            assert_eq!(answer.status, 405, "{name}");
            let answer =
                raw_get(&app, &format!("{LOGOUT}?_method=POST"), &[&origin, &cookies]).await;
            assert_eq!(answer.status, 405);
            let line = format!("{name}: GET");
            let lines = [line.as_str(), NAVIGATE, "Content-Length: 0"];
            let answer = raw_request(&app, "POST", "/sites", &lines).await;
            assert_eq!(answer.status, 401, "{name}: an unsafe request is no navigation");
            assert!(answer.headers("set-cookie").is_empty());
        }
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
    }

    #[tokio::test]
    async fn login_never_repeats_a_post() {
        let app = App::start().await;
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let mut browser = TestBrowser::new();
            let given = headers(&[("accept", "text/html"), ("sec-fetch-mode", "navigate")]);
            let page = browser.send(method, &app.url("/sites?do=it"), &given, None).await.unwrap();
            assert_eq!(page.status, 401, "no redirect, which 307 and 308 would repeat");
            let link = "href=\"/auth/webflow/login?return_to=%2F\"";
            assert!(page.text.contains(link), "{}", page.text);
            assert!(browser.cookies(HOST).is_empty());
        }
    }
}

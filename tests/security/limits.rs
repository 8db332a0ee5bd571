//! Nobody can make the service leak a secret, retain memory, or work for long.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::json;
use tower_webflow_auth::Scope;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

use crate::support::hostile::{self, Https, LOGIN, LyingWebflow, raw_get};
use crate::support::{self, App};

mod n3 {
    use super::*;

    #[tokio::test]
    async fn redirected_exchange_or_revocation_leaks_no_secret() {
        let app = App::start().await;
        let thief = LyingWebflow::start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None).await;
        let mut browser = TestBrowser::new();
        for status in [301, 302, 303, 307, 308] {
            let location = format!("{}/oauth/access_token", thief.base);
            let mut headers = axum::http::HeaderMap::new();
            headers.insert("location", location.parse().unwrap());
            let away = Fault::StatusWith { status, headers, body: "".into() };
            let callback = app.callback(&mut browser, "/sites").await;
            app.fake.fail_next(Endpoint::Token, away.clone());
            assert_eq!(browser.step(&callback).await.unwrap().status, StatusCode::BAD_GATEWAY);
            let mut connected = app.connected().await;
            app.fake.fail_next(Endpoint::Revoke, away);
            let url = app.url("/auth/webflow/logout?revoke=true");
            assert_eq!(connected.submit(&url).await.unwrap().status, StatusCode::BAD_GATEWAY);
        }
        assert_eq!(thief.asked(), Vec::<String>::new());
    }
}

mod s11 {
    use super::*;

    #[tokio::test]
    async fn flow_with_an_oversized_cookie_returns_to_the_root() {
        let scopes: Vec<_> = (0..16).map(|n| format!("{}{n}:read", "x".repeat(50))).collect();
        let further: Vec<_> = scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect();
        let app = App::with(|builder| builder.further_scopes(further)).await;
        let login = format!("{LOGIN}?return_to=/{}&scope={}", "y".repeat(2000), scopes.join("+"));
        let mut browser = TestBrowser::new();
        let challenge = browser.step(&app.url(&login)).await.unwrap();
        assert_eq!(challenge.status, StatusCode::SEE_OTHER, "{}", challenge.text);
        let [(name, value)] = &browser.cookies(hostile::HOST)[..] else { panic!("one cookie") };
        assert!(name.len() + value.len() <= 4096, "{}", name.len() + value.len());
        let state = hostile::parameter(challenge.location().unwrap().as_str(), "state");
        let denied = format!("{}?error=access_denied&state={state}", hostile::CALLBACK);
        let page = browser.step(&app.url(&denied)).await.unwrap();
        assert_eq!(page.status, StatusCode::FORBIDDEN, "the flow was found: {}", page.text);
        assert!(!page.text.contains("yyyy"), "it comes back to the root: {}", page.text);
    }
}

mod o3 {
    use super::*;

    #[tokio::test]
    async fn script_at_the_login_gets_the_url_and_starts_no_flow() {
        let app = App::start().await;
        for target in [LOGIN, "/sites"] {
            for script in ["Sec-Fetch-Mode: cors", "Sec-Fetch-Mode: no-cors", "HX-Request: true"] {
                let answer = raw_get(&app, target, &[script, "Accept: text/html"]).await;
                assert_eq!(answer.status, 401, "{target} {script}: {}", answer.head);
                assert_eq!(answer.header("set-cookie"), None, "{target} {script}");
                let scheme = answer.header("www-authenticate");
                assert_eq!(scheme, Some("Webflow realm=\"webflow\""), "RFC 9110 section 15.5.2");
            }
        }
    }
}

mod s14 {
    use super::*;

    #[tokio::test]
    async fn prefetched_login_starts_no_flow() {
        let app = App::start().await;
        let navigate = "Sec-Fetch-Mode: navigate";
        for ahead in
            ["Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: preview"]
        {
            let answer = raw_get(&app, LOGIN, &[navigate, ahead]).await;
            assert_eq!(answer.status, 403, "{ahead}: {}", answer.head);
            assert_eq!(answer.header("set-cookie"), None, "{ahead}");
        }
        assert_eq!(raw_get(&app, LOGIN, &[navigate]).await.status, 303);
    }
}

mod n4 {
    use super::*;

    #[tokio::test]
    async fn reload_works_after_a_refused_code_or_an_outage() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let refused = Fault::json(400, &json!({"error": "invalid_grant"}));
        for fault in [Fault::Status(503), Fault::Reset, refused] {
            let callback = app.callback(&mut browser, "/sites").await;
            let state = hostile::parameter(&callback, "state");
            let flows = browser.cookies(hostile::HOST).len();
            app.fake.fail_always(Endpoint::Token, fault.clone());
            browser.step(&callback).await.unwrap();
            app.fake.heal();
            let left = browser.cookies(hostile::HOST).len();
            assert_eq!(left, flows, "{fault:?} {state}");
        }
    }
}

mod n13 {
    use super::*;

    #[test]
    fn thousands_of_abandoned_flows_use_no_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let app = runtime.block_on(Https::start(|builder| builder, support::router));
        let begin = |times: usize| {
            runtime.block_on(async {
                for _ in 0..times {
                    let challenge = app.visit("/sites", "").await;
                    assert_eq!(challenge.status, StatusCode::SEE_OTHER);
                    // A callback without a flow, and a session with an invalid signature.
                    let forged = "/auth/webflow/callback?code=c&state=s";
                    let cookie = "__Host-webflow-session=AAAA";
                    assert_eq!(app.visit(forged, cookie).await.status, StatusCode::BAD_REQUEST);
                }
            });
        };
        begin(100);
        let kept = allocation_counter::measure(|| begin(2_500));
        assert!(kept.count_total > 50_000, "it was measured: {kept:?}");
        assert!(kept.bytes_current < 64 * 1024, "{kept:?}");
        assert!(kept.bytes_max < 1024 * 1024, "{kept:?}");
    }

    #[tokio::test]
    async fn login_with_ten_thousand_scopes_is_refused_cheaply() {
        let further = Scope::new("a:b").unwrap();
        let app = App::with(|builder| builder.further_scopes([further])).await;
        let scopes: Vec<_> = (0..8_000).map(|n| format!("{n:x}:r")).collect();
        let started = Instant::now();
        let answer = raw_get(&app, &format!("{LOGIN}?scope={}", scopes.join("+")), &[]).await;
        assert_eq!(answer.status, 400, "{}", answer.head);
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        let usual = raw_get(&app, &format!("{LOGIN}?scope=cms:write+a:b"), &[]).await;
        assert_eq!(usual.status, 303, "{}", usual.head);
    }
}

mod n2 {
    use super::*;

    #[tokio::test]
    async fn response_with_ten_thousand_scopes_is_cheap() {
        let app = App::start().await;
        let scopes: Vec<_> = (0..9_000).map(|n| format!("{n:x}:r")).collect();
        let answer = json!({"access_token": "a-token", "scope": scopes.join(" ")});
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/deep/path").await;
        app.fake.fail_next(Endpoint::Token, Fault::json(200, &answer));
        let started = Instant::now();
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn response_over_64_kib_is_refused() {
        let app = App::start().await;
        for (blanks, status) in
            [(1024, StatusCode::SEE_OTHER), (65 * 1024, StatusCode::BAD_GATEWAY)]
        {
            let body = format!("{}{{\"access_token\": \"a-token\"}}", " ".repeat(blanks));
            let mut browser = TestBrowser::new();
            let callback = app.callback(&mut browser, "/deep/path").await;
            app.fake.fail_next(Endpoint::Token, Fault::body("application/json", body));
            assert_eq!(browser.step(&callback).await.unwrap().status, status, "{blanks} blanks");
        }
    }
}

mod o2 {
    use super::*;

    #[tokio::test]
    async fn logout_without_a_session_gets_the_same_response() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        let url = app.url("/auth/webflow/logout");
        let mut stranger = TestBrowser::new();
        let mut answers = Vec::new();
        for browser in [&mut browser, &mut stranger] {
            for _ in 0..2 {
                let page = browser.fetch(Method::POST, &url).await.unwrap();
                let removed = page.set_cookies().join("\n");
                assert!(removed.contains("webflow-session=;"), "{removed}");
                answers.push((page.status, page.text.clone()));
            }
        }
        answers.dedup();
        assert_eq!(answers, [(StatusCode::NO_CONTENT, String::new())]);
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");
    }
}

#[tokio::test]
async fn tokens_of_a_site_are_sorted_newest_first() {
    let store = hostile::TestStore::default();
    let app = App::with(|builder| builder.store(store.clone())).await;
    let covers = json!({"authorization": {"id": "a", "authorizedTo": {"siteIds": ["site-1"]}}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &covers));
    for _ in 0..6 {
        app.connected().await;
        app.clock.advance(Duration::from_secs(1));
    }
    let mut rows = store.rows();
    rows.sort_by_key(|row| std::cmp::Reverse(row.version()));
    let tokens = app.auth.handle().tokens_for_site("site-1").await.unwrap();
    let found: Vec<_> = tokens.iter().map(|token| token.subject().id()).collect();
    let expected: Vec<_> = rows.iter().map(|row| row.key().subject().id()).collect();
    assert_eq!((found.len(), found), (6, expected));
}

mod o7 {
    use super::*;

    #[tokio::test]
    async fn handler_never_runs_without_its_scopes() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        for (method, path) in
            [(Method::GET, "/cms"), (Method::POST, "/cms"), (Method::HEAD, "/cms")]
        {
            let page = browser.fetch(method.clone(), &app.url(path)).await.unwrap();
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_ne!(page.text, "cms");
        }
        // All scopes were requested and fewer granted, by the exchange and by the introspection.
        for granted in ["sites:read cms:read", "cms:writer sites:read", "cms:write:x", "CMS:WRITE"]
        {
            let introspected = json!({"authorization": {"id": "a", "scope": granted}});
            let issued = json!({"access_token": "another-token", "scope": granted});
            app.fake.fail_next(Endpoint::Token, Fault::json(200, &issued));
            app.fake.fail_next(Endpoint::Introspect, Fault::json(200, &introspected));
            let mut browser = TestBrowser::new();
            let page = app.connect(&mut browser, "/cms").await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{granted}: {}", page.text);
            let page = browser.fetch(Method::POST, &app.url("/cms")).await.unwrap();
            assert_ne!(page.text, "cms", "{granted}");
            assert!(page.status.is_client_error(), "{granted}");
        }
        let page = app.connect(&mut TestBrowser::new(), "/cms").await;
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "cms"));
    }
}

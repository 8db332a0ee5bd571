//! Redirects, headers, cookies and other entry points: groups R, C and O of the threat model.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::routing::get;
use tower::{Layer, ServiceExt};
use tower_webflow_auth::testing::{Page, TestBrowser};
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer};

use crate::support::App;

async fn ask(app: &App, method: Method, path: &str, headers: &[(&str, &str)]) -> Page {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    TestBrowser::new().send(method, &app.url(path), &headers, None).await.unwrap()
}

mod r1_r3 {
    use super::*;

    #[tokio::test]
    async fn return_to_stays_on_the_origin_at_login_and_logout() {
        let app = App::start().await;
        for hostile in [
            "//evil.example",
            "/%5Cevil.example",
            "%5C%5Cevil.example",
            "https:evil.example",
            "https://evil.example/",
            "/%2509/evil.example",
            "/%09/evil.example",
            "%20/x",
            "javascript:alert(1)",
            "data:text/html,x",
            "/%0d%0aSet-Cookie:%20a=b",
            "@evil.example",
            "/auth/webflow/callback",
            "/auth/webflow/logout?x=y",
        ] {
            let mut browser = TestBrowser::new();
            let login = format!("/auth/webflow/login?return_to={hostile}");
            let page = app.connect(&mut browser, &login).await;
            assert_eq!((page.path(), page.url.query()), ("/", None), "{hostile}");
            assert_eq!(page.url.host_str(), Some("127.0.0.1"));
            let logout = format!("/auth/webflow/logout?return_to={hostile}");
            let page = browser.submit(&app.url(&logout)).await.unwrap();
            assert_eq!((page.path(), page.url.host_str()), ("/", Some("127.0.0.1")), "{hostile}");
        }
    }
}

mod r1 {
    use super::*;

    #[tokio::test]
    async fn hostile_request_path_is_not_returned_to() {
        let app = App::start().await;
        let page = ask(&app, Method::GET, "//evil.example/x", &[("accept", "text/html")]).await;
        let mut browser = TestBrowser::new();
        for set in page.set_cookies() {
            let (pair, _) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            browser.set_cookie("127.0.0.1", name, value);
        }
        let callback = app.fake.approve(page.location().unwrap()).unwrap();
        let back = browser.step(callback.as_str()).await.unwrap();
        assert_eq!(back.headers["location"], "/");
    }
}

mod r2 {
    use super::*;

    #[tokio::test]
    async fn spoofed_hosts_change_no_redirect() {
        let app = App::start().await;
        for header in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "host=evil.example;proto=https"),
            ("x-original-url", "/auth/webflow/callback"),
            ("x-http-method-override", "POST"),
        ] {
            let page = ask(&app, Method::GET, "/sites", &[("accept", "text/html"), header]).await;
            let location = page.headers["location"].to_str().unwrap();
            assert!(location.starts_with(app.fake.base_url()), "{location}");
            assert!(!location.contains("evil"), "{location}");
        }
    }
}

mod r6 {
    use super::*;

    #[tokio::test]
    async fn equivalent_spellings_are_not_the_callback() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let query = callback.split_once('?').unwrap().1;
        for path in [
            "/auth/webflow/callback/",
            "//auth/webflow/callback",
            "/auth//webflow/callback",
            "/auth/webflow/%63allback",
            "/AUTH/webflow/callback",
            "/auth/webflow/callback;x",
        ] {
            let page = browser.step(&app.url(&format!("{path}?{query}"))).await.unwrap();
            assert_ne!(page.status, StatusCode::OK, "{path}");
            assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "{path}");
        }
    }
}

mod r5 {
    use super::*;

    #[tokio::test]
    async fn code_appears_in_no_response() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let page = browser.step(&callback).await.unwrap();
        let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
        assert!(!format!("{:?} {}", page.headers, page.text).contains(code));
    }
}

mod c1 {
    use super::*;

    #[tokio::test]
    async fn https_cookies_are_host_bound_secure_and_lax() {
        let auth = WebflowAuthLayer::builder()
            .client_id("id")
            .client_secret("secret")
            .redirect_uri("https://app.example.com/auth/webflow/callback")
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::generate())
            .build()
            .unwrap();
        let service = auth.layer(Router::new().route("/x", get(|| async { "x" })));
        let request = http::Request::builder().uri("/x").header("accept", "text/html");
        let answer =
            service.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("__Host-webflow-flow-"), "{cookie}");
        for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/;", "; Max-Age=900"]
        {
            assert!(cookie.contains(attribute), "{attribute} in {cookie}");
        }
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    }
}

mod c2_c3 {
    use super::*;

    #[tokio::test]
    async fn session_is_found_among_a_hundred_tossed_cookies() {
        let app = App::start().await;
        let browser = app.connected().await;
        let (name, value) = browser.cookies("127.0.0.1")[0].clone();
        let junk: Vec<_> = (0..100).map(|i| format!("junk{i}={}", "x".repeat(60))).collect();
        for cookies in [
            format!("{name}=tossed; {name}={value}"),
            format!("{name}={value}; {name}=tossed"),
            format!("{}; {name}={value}", junk.join("; ")),
            format!("=x; ;; noequals; \"{name}\"=x; {name}={value}; odd=\"a;b\""),
            format!("__Host-{name}={value}; {name}={value}"),
        ] {
            let page = ask(&app, Method::GET, "/", &[("cookie", &cookies)]).await;
            assert_eq!(page.text, "connected", "{cookies}");
        }
        let pair = format!("{name}={value}");
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=b".parse().unwrap());
        headers.append("cookie", pair.parse().unwrap());
        let page =
            TestBrowser::new().send(Method::GET, &app.url("/"), &headers, None).await.unwrap();
        assert_eq!(page.text, "connected", "several headers");
        let page =
            ask(&app, Method::GET, "/", &[("cookie", &format!("__Host-{name}={value}"))]).await;
        assert_eq!(page.text, "not connected", "a name is bound to its value");
    }
}

mod c4 {
    use super::*;

    #[tokio::test]
    async fn handler_cookies_survive() {
        let app = App::with_router(
            |builder| builder,
            |auth| {
                let handler = || async { ([("set-cookie", "own=1")], "own") };
                Router::new().route("/x", get(handler)).layer(auth.optional())
            },
        )
        .await;
        let page = ask(&app, Method::GET, "/x", &[]).await;
        assert_eq!(page.set_cookies(), ["own=1"]);
    }
}

mod o1 {
    use super::*;

    #[tokio::test]
    async fn logout_requires_a_same_origin_post() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        let url = app.url("/auth/webflow/logout");
        let own = app.url("");
        for (method, headers, status) in [
            (Method::GET, vec![], StatusCode::METHOD_NOT_ALLOWED),
            (Method::POST, vec![], StatusCode::FORBIDDEN),
            (Method::POST, vec![("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
            (Method::POST, vec![("origin", "https://evil.example")], StatusCode::FORBIDDEN),
            (Method::POST, vec![("origin", "null")], StatusCode::FORBIDDEN),
            (Method::POST, vec![("origin", own.as_str())], StatusCode::NO_CONTENT),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
                })
                .collect();
            let page = browser.send(method, &url, &headers, None).await.unwrap();
            assert_eq!(page.status, status, "{headers:?}");
            let home = browser.visit(&app.url("/")).await.unwrap().text;
            assert_eq!(home == "connected", status != StatusCode::NO_CONTENT);
        }
    }

    #[tokio::test]
    async fn ambiguous_logout_changes_nothing() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        let page = browser.submit(&app.url("/auth/webflow/logout?revoke=true&revoke=true")).await;
        assert_eq!(page.unwrap().status, StatusCode::BAD_REQUEST);
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
        assert_eq!(app.fake.live_tokens(), 1);
    }
}

mod o3 {
    use super::*;

    #[tokio::test]
    async fn non_navigation_gets_401_without_cookie() {
        let app = App::start().await;
        let html = ("accept", "text/html");
        for headers in [
            vec![],
            vec![("accept", "application/json")],
            vec![html, ("sec-fetch-mode", "cors")],
            vec![html, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            vec![html, ("x-requested-with", "XMLHttpRequest")],
            vec![html, ("upgrade", "websocket"), ("connection", "upgrade")],
            vec![html, ("sec-fetch-mode", "websocket")],
            vec![("accept", "text/event-stream"), ("sec-fetch-mode", "cors")],
            vec![html, ("sec-purpose", "prefetch")],
            vec![html, ("service-worker", "script"), ("sec-fetch-mode", "same-origin")],
        ] {
            let page = ask(&app, Method::GET, "/sites", &headers).await;
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{headers:?}");
            assert!(page.set_cookies().is_empty(), "{headers:?}");
            assert_eq!(page.headers["content-type"], "application/problem+json");
            assert_eq!(page.headers["cache-control"], "no-store");
            // A browser's script belongs to a page, which `Referer` names.
            let script = headers.iter().any(|(name, _)| *name == "sec-fetch-mode");
            let return_to = if script { "%2F" } else { "%2Fsites" };
            let login_url = format!("/auth/webflow/login?return_to={return_to}");
            assert_eq!(page.json()["login_url"], login_url, "{headers:?}");
            for field in ["type", "title", "status", "detail"] {
                assert!(!page.json()[field].is_null(), "{field}");
            }
        }
        let page = ask(&app, Method::POST, "/sites", &[html, ("sec-fetch-mode", "navigate")]).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "R7: no POST is repeated after a login");
        assert!(page.set_cookies().is_empty());
        let link = "href=\"/auth/webflow/login?return_to=%2F\"";
        assert!(page.text.contains(link), "a person gets a page: {}", page.text);
    }
}

//! CORS headers for the origins of panels.

use axum::http::{Method, StatusCode, header};
use serde_json::json;

use super::*;

const REQUEST_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
const REQUEST_HEADERS: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;

mod b4 {
    use super::*;

    #[tokio::test]
    async fn only_listed_origins_can_read_responses_to_a_bearer() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let (name, good) = bearer(&token);
        let evil = "https://evil.example";
        // Twice: decrypted, and then from the cache.
        for (path, authorization, status) in [
            ("/whoami", good.as_str(), 200),
            ("/whoami", &good, 200),
            ("/panel", &good, 200),
            ("/write", &good, 403),
            ("/whoami", "Bearer x", 401),
            ("/nowhere", &good, 404),
        ] {
            for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), (evil, None), ("null", None)] {
                let sent = [(name.clone(), authorization), (header::ORIGIN, origin)];
                let answer = panel.send(request(Method::GET, path, &sent)).await;
                assert_eq!(answer.status.as_u16(), status, "{path}");
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{path}");
                assert_eq!(answer.header("vary"), Some("Origin"));
                assert_eq!(answer.header("access-control-allow-credentials"), None);
            }
        }
        let sent = [(name.clone(), good.as_str()), (header::ORIGIN, ORIGIN)];
        let dead = panel.send(request(Method::GET, "/dead", &sent)).await;
        assert_eq!(
            dead.header("access-control-allow-origin"),
            Some(ORIGIN),
            "recovered by the layer"
        );
    }

    #[tokio::test]
    async fn only_listed_origins_can_read_responses_of_the_panel_path() {
        let panel = Panel::start().await;
        panel.connect().await;
        let good =
            json!({ "siteId": panel.site(0), "idToken": panel.fake.id_token(panel.site(0)) });
        for body in [good, json!({}), json!({ "siteId": "unknown", "idToken": "x" })] {
            for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), ("https://evil.example", None)] {
                let mut request = post(&body);
                request.headers_mut().insert(header::ORIGIN, HeaderValue::from_static(origin));
                let answer = panel.send(request).await;
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{body}");
                assert_eq!(answer.header("vary"), Some("Origin"));
                assert_eq!(answer.header("access-control-allow-credentials"), None);
            }
        }
    }

    #[tokio::test]
    async fn a_preflight_for_a_bearer_is_answered_by_the_layer() {
        let panel = Panel::start().await;
        let preflight = |path: &'static str, origin: &'static str, headers: &'static str| {
            let sent =
                [(header::ORIGIN, origin), (REQUEST_METHOD, "PUT"), (REQUEST_HEADERS, headers)];
            panel.send(request(Method::OPTIONS, path, &sent))
        };
        for path in ["/whoami", "/panel", "/write"] {
            let answer = preflight(path, ORIGIN, "Authorization").await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
            assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
            let allowed = answer.header("access-control-allow-headers");
            assert_eq!(allowed, Some("authorization, content-type"));
            assert!(answer.header("access-control-max-age").is_some());
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
        for (origin, headers) in [("https://evil.example", "authorization"), (ORIGIN, "x-other")] {
            let answer = preflight("/whoami", origin, headers).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "by the application");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        let callback = preflight("/auth/webflow/callback", ORIGIN, "authorization").await;
        assert_eq!(callback.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(callback.header("access-control-allow-origin"), None);
    }

    #[tokio::test]
    async fn a_preflight_for_the_panel_path_needs_no_header() {
        let panel = Panel::start().await;
        let path = "/auth/webflow/panel";
        let sent = [(header::ORIGIN, ORIGIN), (REQUEST_METHOD, "POST")];
        let answer = panel.send(request(Method::OPTIONS, path, &sent)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        for sent in [
            vec![(header::ORIGIN, "https://evil.example"), (REQUEST_METHOD, "POST")],
            vec![(header::ORIGIN, ORIGIN)],
            vec![],
        ] {
            let answer = panel.send(request(Method::OPTIONS, path, &sent)).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
            assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
            assert_eq!(answer.header("vary"), Some("Origin"));
            let cors = answer.headers.keys().filter(|it| it.as_str().starts_with("access-control"));
            assert_eq!(cors.count(), 0, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn the_applications_own_headers_stay() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let (name, good) = bearer(&token);
        let sent = [(name, good.as_str()), (header::ORIGIN, ORIGIN)];
        let answer = panel.send(request(Method::GET, "/own-cors", &sent)).await;
        let all = |name| answer.headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("access-control-allow-origin"), ["*"]);
        assert_eq!(all("vary"), ["Accept", "Origin"]);
    }

    #[tokio::test]
    async fn a_request_without_a_bearer_has_no_cors() {
        let panel = Panel::start().await;
        let cookie = panel.connect().await;
        let sent = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, ORIGIN)];
        for path in ["/whoami", "/panel"] {
            let answer = panel.send(request(Method::GET, path, &sent)).await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        }
    }
}

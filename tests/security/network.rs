//! Failures of Webflow and the network: group N of the threat model.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tower_webflow_auth::testing::{Endpoint, Fault, TestBrowser};

use crate::support::App;
use crate::support::hostile::eventually;

async fn app() -> App {
    App::with(|builder| builder.timeout(Duration::from_millis(500))).await
}

mod n1_n2_n3_n4 {
    use super::*;

    #[tokio::test]
    async fn exchange_failures_have_their_response_and_store_nothing() {
        let app = app().await;
        let bad_token =
            |token: serde_json::Value| Fault::json(200, &json!({"access_token": token}));
        let wait = |secs| Fault::RateLimited { retry_after: Duration::from_secs(secs) };
        for (fault, status) in [
            (Fault::Reset, 502),
            (Fault::Hang, 504),
            (Fault::Delay(Duration::from_secs(5)), 504),
            (Fault::Status(500), 502),
            (Fault::Status(503), 502),
            (Fault::Status(404), 502),
            (Fault::Redirect("http://127.0.0.1:9/steal".into()), 502),
            (Fault::body("text/html", "<html>hello</html>"), 502),
            (Fault::body("application/json", ""), 502),
            (Fault::Truncated, 502),
            (Fault::Huge(10 * 1024 * 1024), 502),
            (bad_token(json!("")), 502),
            (bad_token(json!(7)), 502),
            (bad_token(json!("a\r\nb")), 502),
            (Fault::json(200, &json!([])), 502),
            (Fault::json(400, &json!({"error": "invalid_grant"})), 400),
            (Fault::json(401, &json!({"error": "invalid_client"})), 502),
            (Fault::json(400, &json!({"code": "bad_request", "message": "no"})), 502),
            (wait(60), 503),
        ] {
            let mut browser = TestBrowser::new();
            let callback = app.callback(&mut browser, "/sites").await;
            app.fake.fail_always(Endpoint::Token, fault.clone());
            let page = browser.step(&callback).await.unwrap();
            assert_eq!(page.status.as_u16(), status, "{fault:?}: {}", page.text);
            assert!(page.text.contains("/auth/webflow/login?return_to=%2Fsites"), "{}", page.text);
            assert_eq!(page.headers.contains_key("retry-after"), status == 503, "{fault:?}");
            let sessions = browser.cookies("127.0.0.1");
            assert!(sessions.iter().all(|(name, _)| name != "webflow-session"), "{fault:?}");
            assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");
            app.fake.heal();
            // The flow can be retried.
            assert_eq!(
                app.connect(&mut browser, "/sites").await.status,
                StatusCode::OK,
                "{fault:?}"
            );
        }
    }
}

mod n4 {
    use super::*;

    #[tokio::test]
    async fn short_retry_after_is_waited_for_once() {
        let app = App::start().await;
        let wait = Fault::RateLimited { retry_after: Duration::from_secs(1) };
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        app.fake.fail_next(Endpoint::Token, wait.clone());
        assert_eq!(browser.visit(&callback).await.unwrap().status, StatusCode::OK);
        let callback = app.callback(&mut browser, "/auth/webflow/login").await;
        app.fake.fail_times(Endpoint::Token, 2, wait);
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers["retry-after"], "1");
    }
}

mod n6 {
    use super::*;

    #[tokio::test]
    async fn disconnect_during_the_exchange_loses_no_token() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        app.fake.fail_next(Endpoint::Token, Fault::Delay(Duration::from_millis(200)));
        let mut impatient = browser.clone();
        let gone =
            tokio::time::timeout(Duration::from_millis(100), impatient.step(&callback)).await;
        assert!(gone.is_err(), "it has hung up");
        app.fake.wait_for_requests("/v2/token/introspect", 1).await;
        let page = browser.visit(&callback).await.unwrap();
        assert_eq!((page.path(), page.status), ("/sites", StatusCode::OK));
        assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (1, 1), "one exchange");
    }
}

mod n9 {
    use super::*;

    #[tokio::test]
    async fn unavailable_introspection_does_not_block_the_login() {
        let app = app().await;
        for fault in [Fault::Status(500), Fault::Hang, Fault::body("text/html", "x"), Fault::Reset]
        {
            app.fake.fail_next(Endpoint::Introspect, fault.clone());
            let page = app.connect(&mut TestBrowser::new(), "/sites").await;
            assert_eq!(page.status, StatusCode::OK, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn logout_ends_the_session_while_webflow_is_down() {
    let app = app().await;
    let mut browser = app.connected().await;
    app.fake.fail_always(Endpoint::Revoke, Fault::Status(503));
    let page = browser.submit(&app.url("/auth/webflow/logout?revoke=true")).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.text.contains("webflow-not-told"), "{}", page.text);
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");
    app.fake.heal();
    // The call is retried in the background.
    eventually("a second attempt", || app.fake.live_tokens() == 0).await;
}

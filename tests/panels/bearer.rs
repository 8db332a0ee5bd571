//! Requests with a bearer.

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use serde_json::json;
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::{GrantPolicy, Keyring, Subject};

use super::*;

const INVALID: &str = "Bearer error=\"invalid_token\"";

/// Asserts the response to an invalid bearer.
#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.kind()), (401, "bearer-refused"), "{}", answer.json);
    assert_eq!(answer.header("www-authenticate"), Some(INVALID));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None));
}

#[tokio::test]
async fn a_handler_gets_token_user_and_session() {
    let panel = Panel::start().await;
    let token = panel.bearer().await;
    let site = panel.site(0);
    // The first request decrypts the bearer. The following ones find it in the cache.
    for _ in 0..3 {
        let answer = panel.get("/whoami", &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        assert_eq!((&answer.json["site"], &answer.json["grants"]), (&json!(site), &json!(1)));
        assert!(answer.json["user"].is_string());
        assert_eq!((answer.header("set-cookie"), answer.header("vary")), (None, Some("Origin")));
    }
    for method in [Method::POST, Method::PUT] {
        let (name, value) = bearer(&token);
        let answer = panel.send(request(method, "/whoami", &[(name, &value)])).await;
        assert_eq!(answer.status, StatusCode::OK, "no CSRF check stands in the way");
    }
}

#[tokio::test]
async fn a_session_is_required_where_a_handler_takes_one() {
    let panel = Panel::start().await;
    let cookie = panel.connect().await;
    for request in [navigation("/panel", ""), navigation("/panel", &cookie)] {
        let answer = panel.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (401, "bearer-required"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let by_cookie = panel.send(navigation("/whoami", &cookie)).await;
    assert_eq!(by_cookie.json["site"], json!(null));
}

mod b2 {
    use super::*;

    #[tokio::test]
    async fn a_changed_bearer_is_refused() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
        for at in [0, 4, 20, 44, 60, token.len() - 1] {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            for path in ["/whoami", "/panel"] {
                refused(&panel.get(path, &String::from_utf8(changed.clone()).unwrap()).await);
            }
        }
        for odd in
            ["", "wfp_", "x", &token[..token.len() - 1], &format!("{token}A"), &"x".repeat(9000)]
        {
            refused(&panel.get("/whoami", odd).await);
        }
    }

    #[tokio::test]
    async fn a_bearer_expires_after_an_hour() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        panel.clock.advance(Duration::from_secs(3598));
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
        panel.clock.advance(Duration::from_secs(2));
        refused(&panel.get("/whoami", &token).await);
    }

    #[tokio::test]
    async fn a_bearer_of_another_app_or_key_is_refused() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let layer = || {
            panel
                .fake
                .layer("http://127.0.0.1:9/auth/webflow/callback")
                .keyring(Keyring::from_base64(support::KEY).unwrap())
                .panel_origin(ORIGIN)
        };
        for auth in [
            layer().client_id("another"),
            layer().keyring(Keyring::generate()),
            // The cookie's name, which is associated data, differs on https.
            layer().redirect_uri("https://app.example.com/auth/webflow/callback"),
        ] {
            let app = router(&auth.build().unwrap());
            let (name, value) = bearer(&token);
            let response = app.oneshot(request(Method::GET, "/whoami", &[(name, &value)])).await;
            assert_eq!(response.unwrap().headers()["www-authenticate"], INVALID);
        }
    }

    #[tokio::test]
    async fn a_bearer_ends_with_its_grant() {
        let panel = Panel::start().await;
        let cookie = panel.connect().await;
        let token = panel.sign_in(panel.site(0)).await.json["token"].as_str().unwrap().to_owned();
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
        let logout = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, "http://127.0.0.1:9")];
        let out = panel.send(request(Method::POST, "/auth/webflow/logout", &logout)).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        for path in ["/whoami", "/panel", "/write"] {
            refused(&panel.get(path, &token).await);
        }
        assert_eq!(panel.sign_in(panel.site(0)).await.status, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn a_bearer_ends_when_its_grant_is_replaced() {
        let panel = Panel::with(|builder| builder.subject(|_| Some(Subject::user(1)))).await;
        let token = panel.bearer_of_user().await;
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
        panel.step_up().await;
        refused(&panel.get("/whoami", &token).await);
        let token = panel.sign_in(panel.site(0)).await.json["token"].as_str().unwrap().to_owned();
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_bearer_ends_when_a_handler_finds_its_token_dead() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        assert_eq!(panel.get("/whoami", &token).await.status, StatusCode::OK);
        refused(&panel.get("/dead", &token).await);
        refused(&panel.get("/whoami", &token).await);
        let left = panel.auth.handle().tokens_for_site(panel.site(0)).await.unwrap();
        assert!(left.is_empty(), "the dead grant is removed");
    }

    #[tokio::test]
    async fn a_bearer_outlives_a_restart_and_a_key_that_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.db");
        let first = SqliteStore::open(&file).await.unwrap();
        let panel = Panel::with(|builder| builder.store(first)).await;
        let token = panel.bearer().await;
        let keys = format!("{},{}", Keyring::generate_base64(), support::KEY);
        let auth = panel
            .fake
            .layer("http://127.0.0.1:9/auth/webflow/callback")
            .keyring(Keyring::from_base64(&keys).unwrap())
            .panel_origin(ORIGIN)
            .scopes(SCOPES)
            .clock(panel.clock.clone())
            .store(SqliteStore::open(&file).await.unwrap())
            .build()
            .unwrap();
        let app = router(&auth);
        let (name, value) = bearer(&token);
        let response = app.oneshot(request(Method::GET, "/whoami", &[(name, &value)])).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_bearer_of_a_grant_just_written_by_another_instance_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.db");
        let open = async || SqliteStore::open(&file).await.unwrap();
        let store = open().await;
        let user = |_: &axum::http::request::Parts| Some(Subject::user(1));
        let panel = Panel::with(|builder| builder.store(store).subject(user)).await;
        let first = panel.bearer_of_user().await;
        let other = panel
            .fake
            .layer("http://127.0.0.1:9/auth/webflow/callback")
            .keyring(Keyring::from_base64(support::KEY).unwrap())
            .panel_origin(ORIGIN)
            .scopes(SCOPES)
            .clock(panel.clock.clone())
            .store(open().await)
            .subject(user)
            .build()
            .unwrap();
        let app = router(&other);
        let at_other = async |token: &str| {
            let (name, value) = bearer(token);
            let request = request(Method::GET, "/whoami", &[(name, &value)]);
            app.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(at_other(&first).await, StatusCode::OK, "the other instance has cached it");
        panel.step_up().await;
        let second = panel.sign_in(panel.site(0)).await.json["token"].as_str().unwrap().to_owned();
        assert_eq!(at_other(&second).await, StatusCode::OK);
        assert_eq!(at_other(&first).await, StatusCode::UNAUTHORIZED);
    }
}

mod b3 {
    use super::*;

    #[tokio::test]
    async fn only_the_header_is_read() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let cookie = format!("wfp={token}; access_token={token}");
        let elsewhere = panel.send(request(
            Method::GET,
            &format!("/panel?access_token={token}"),
            &[(header::COOKIE, &cookie)],
        ));
        assert_eq!(elsewhere.await.kind(), "bearer-required");
    }

    #[tokio::test]
    async fn a_bearer_takes_precedence_over_a_session() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let cookie = panel.connect().await;
        let (name, good) = bearer(&token);
        let both = |value: &str| {
            let mut request = navigation("/whoami", &cookie);
            request.headers_mut().insert(&name, HeaderValue::from_str(value).unwrap());
            request
        };
        let mine = panel.get("/whoami", &token).await.json;
        let answer = panel.send(both(&good)).await;
        assert_eq!(answer.json, mine, "the session's subject is another one");
        let by_cookie = panel.send(navigation("/whoami", &cookie)).await;
        assert_ne!(by_cookie.json["subject"], mine["subject"]);
        for bad in ["Bearer x", "bearer", "BEARER wfp_x"] {
            refused(&panel.send(both(bad)).await);
        }
        let basic = panel.send(both("Basic dXNlcjpwYXNz")).await;
        assert_eq!(basic.status, StatusCode::OK, "another scheme is the application's");
    }

    #[tokio::test]
    async fn a_repeated_bearer_is_refused() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let (name, good) = bearer(&token);
        for (one, two) in [(&*good, &*good), (&good, "Basic x"), ("Basic x", &good)] {
            let twice = [(name.clone(), one), (name.clone(), two)];
            refused(&panel.send(request(Method::GET, "/whoami", &twice)).await);
        }
    }

    #[tokio::test]
    async fn with_own_users_only_the_crates_own_bearers_are_verified() {
        let panel = Panel::with(|builder| builder.subject(|_| Some(Subject::user(1)))).await;
        let token = panel.bearer_of_user().await;
        let mine = panel.get("/whoami", "the application's own").await;
        assert_eq!(mine.json["site"], json!(null), "by the application's user");
        assert_eq!(mine.header("vary"), None);
        let answer = panel.get("/whoami", &token).await;
        assert_eq!(answer.json["site"], json!(panel.site(0)));
        refused(&panel.get("/whoami", "wfp_x").await);
    }

    #[tokio::test]
    async fn closures_of_the_application_are_not_called() {
        let panel = Panel::with(|builder| {
            builder
                .grants(GrantPolicy::PerWorkspace)
                .subject(|parts| match parts.headers.get("authorization") {
                    Some(_) => panic!("asked for a subject"),
                    None => Some(Subject::user(1)),
                })
                .select_grant(|parts, grants| {
                    assert!(!parts.headers.contains_key("authorization"), "asked for a grant");
                    grants.first().cloned()
                })
        })
        .await;
        let token = panel.bearer_of_user().await;
        for _ in 0..2 {
            let answer = panel.get("/whoami", &token).await;
            assert_eq!((answer.status, &answer.json["grants"]), (StatusCode::OK, &json!(1)));
        }
    }
}

mod b6 {
    use super::*;
    use tower_webflow_auth::testing::{Endpoint, Fault};

    #[tokio::test]
    async fn the_panels_user_is_not_the_grants_user() {
        let panel = Panel::start().await;
        panel.connect().await;
        let other = json!({ "id": "another", "siteId": panel.site(0) });
        panel.fake.fail_next(Endpoint::Resolve, Fault::json(200, &other));
        let token = panel.sign_in(panel.site(0)).await.json["token"].as_str().unwrap().to_owned();
        let answer = panel.get("/whoami", &token).await;
        assert_eq!(answer.json["user"], "another");
        assert!(answer.json["by"].is_string() && answer.json["by"] != "another");
        let session = panel.get("/panel", &token).await;
        let user = json!({"id": "another", "email": null, "firstName": null, "lastName": null});
        assert_eq!(session.json["user"], user);
    }
}

mod b7 {
    use super::*;

    #[tokio::test]
    async fn a_missing_scope_is_a_403_for_navigations_too() {
        let panel = Panel::start().await;
        let token = panel.bearer().await;
        let (name, value) = bearer(&token);
        for _ in 0..2 {
            let mut request = navigation("/write", "");
            request.headers_mut().insert(&name, HeaderValue::from_str(&value).unwrap());
            let answer = panel.send(request).await;
            assert_eq!((answer.status.as_u16(), answer.kind()), (403, "missing-scopes"));
            assert_eq!(answer.json["missing_scopes"], "cms:write");
            let login = answer.json["login_url"].as_str().unwrap();
            assert!(login.starts_with("http://127.0.0.1:9/auth/webflow/login?"), "{login}");
            assert!(login.contains("cms%3Awrite"), "{login}");
            assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None));
        }
    }

    #[tokio::test]
    async fn with_the_scope_the_route_is_open() {
        let scopes = [Scope::AUTHORIZED_USER_READ, Scope::SITES_READ, Scope::CMS_WRITE];
        let panel = Panel::with(|builder| builder.scopes(scopes)).await;
        let token = panel.bearer().await;
        assert_eq!(panel.get("/write", &token).await.status, StatusCode::OK);
    }
}

impl Panel {
    /// With the application's own users there is no session cookie. The flow's cookie is enough.
    async fn bearer_of_user(&self) -> String {
        self.connect_user("/whoami").await;
        self.sign_in(self.site(0)).await.json["token"].as_str().unwrap().to_owned()
    }

    async fn step_up(&self) {
        self.connect_user("/write").await;
    }

    async fn connect_user(&self, path: &str) {
        let challenge = self.send(navigation(path, "")).await;
        let flow = cookie(&challenge);
        let access = Access::Sites(vec![self.site(0).to_owned()]);
        let callback = self.fake.approve_with(challenge.header("location").unwrap(), access);
        let callback = callback.unwrap();
        let path = format!("{}?{}", callback.path(), callback.query().unwrap());
        let arrived = self.send(navigation(&path, &flow)).await;
        assert_eq!(arrived.status, StatusCode::SEE_OTHER, "{}", arrived.json);
    }
}

//! The panel path.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use futures::future::join_all;
use futures::stream;
use serde_json::{Value, json};
use tower_webflow_auth::testing::{Access, Endpoint, Fault};
use tower_webflow_auth::{
    Scope,
    config::{CacheConfig, ConfigProblem},
};

use super::*;

#[tokio::test]
async fn an_id_token_becomes_a_bearer() {
    let panel = Panel::start().await;
    panel.connect().await;
    let answer = panel.sign_in(panel.site(0)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert!(answer.json["token"].as_str().unwrap().starts_with("wfp_"));
    let expires = answer.json["expiresAt"].as_str().unwrap();
    let expires =
        time::OffsetDateTime::parse(expires, &time::format_description::well_known::Rfc3339);
    let left = expires.unwrap() - time::OffsetDateTime::from(panel.clock.now());
    assert!((3599..=3600).contains(&left.whole_seconds()), "{left}");
    let user = &answer.json["user"];
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!((&user["firstName"], &user["lastName"]), (&json!("Ada"), &json!("Lovelace")));
    assert!(user["id"].is_string());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("set-cookie"), None);
    let session = panel.get("/panel", answer.json["token"].as_str().unwrap()).await;
    assert_eq!(session.json, json!({ "user": user, "siteId": panel.site(0) }));
}

#[tokio::test]
async fn lifetime_and_path_are_settings() {
    let panel = Panel::with(|builder| {
        builder.panel_lifetime(Duration::from_secs(60)).panel_path("/panel/sign-in")
    })
    .await;
    panel.connect().await;
    assert_eq!(panel.auth.panel_path(), Some("/panel/sign-in"));
    let body = json!({ "siteId": panel.site(0), "idToken": panel.fake.id_token(panel.site(0)) });
    let mut request = post(&body);
    *request.uri_mut() = "/panel/sign-in".parse().unwrap();
    let token = panel.send(request).await.json["token"].as_str().unwrap().to_owned();
    panel.clock.advance(Duration::from_secs(59));
    assert_eq!(panel.get("/panel", &token).await.status, StatusCode::OK);
    panel.clock.advance(Duration::from_secs(1));
    assert_eq!(panel.get("/panel", &token).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(panel.post(&body).await.kind(), "login-required", "an ordinary path");
}

#[tokio::test]
async fn the_endpoints_service_answers_the_panel_path_too() {
    let panel = Panel::start().await;
    panel.connect().await;
    let service = panel.auth.endpoints_service();
    let body = json!({ "siteId": panel.site(0), "idToken": panel.fake.id_token(panel.site(0)) });
    for (request, status) in [
        (post(&body), StatusCode::OK),
        (request(Method::GET, "/auth/webflow/panel", &[]), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["vary"], "Origin");
    }
}

#[tokio::test]
async fn checks_run_in_order() {
    let panel = Panel::start().await;
    panel.connect().await;
    let (site, limit) = (panel.site(0), 16 * 1024);
    let send = |method: Method, content: Option<&'static str>, body: String| {
        let mut request = Request::builder().method(method).uri("/auth/webflow/panel");
        if let Some(content) = content {
            request = request.header(header::CONTENT_TYPE, content);
        }
        panel.send(request.body(Body::from(body)).unwrap())
    };
    let json = Some("application/json; charset=utf-8");
    let long = "x".repeat(limit + 1);
    for (method, content, body, status, kind) in [
        (Method::GET, None, long.clone(), 405, "method-not-allowed"),
        (Method::HEAD, None, String::new(), 405, "method-not-allowed"),
        (Method::DELETE, json, String::new(), 405, "method-not-allowed"),
        (Method::POST, None, long.clone(), 415, "panel-media-type"),
        (Method::POST, Some("text/plain"), long.clone(), 415, "panel-media-type"),
        (Method::POST, json, long, 413, "panel-too-large"),
        (Method::POST, json, String::new(), 400, "panel-malformed"),
        (Method::POST, json, json!({"idToken": "x"}).to_string(), 400, "panel-malformed"),
        (Method::POST, json, json!({"siteId": site}).to_string(), 401, "id-token-refused"),
        (
            Method::POST,
            json,
            json!({"siteId": "s", "idToken": ""}).to_string(),
            401,
            "id-token-refused",
        ),
        (
            Method::POST,
            json,
            json!({"siteId": "s", "idToken": "x"}).to_string(),
            409,
            "not-connected",
        ),
    ] {
        let answer = send(method.clone(), content, body).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (status, kind), "{method} {content:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST, OPTIONS"));
    }
    assert!(panel.fake.requests_to(RESOLVE).is_empty(), "nothing of this reaches Webflow");
    let exact = format!("{{\"siteId\":\"{site}\"}}{}", " ".repeat(limit - 13 - site.len()));
    assert_eq!(exact.len(), limit);
    assert_eq!(send(Method::POST, json, exact).await.status, StatusCode::UNAUTHORIZED);
}

mod b1 {
    use super::*;

    #[tokio::test]
    async fn an_id_token_of_another_site_is_refused() {
        let panel = Panel::start().await;
        panel.connect().await;
        let of_blog = panel.fake.id_token(panel.site(1));
        let answer = panel.post(&json!({ "siteId": panel.site(0), "idToken": of_blog })).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (401, "id-token-refused"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        assert_eq!(answer.json.get("login_url"), None);
        assert_eq!(panel.fake.requests_to(RESOLVE).len(), 1, "no other grant is asked");
        let answer = panel.post(&json!({ "siteId": panel.site(1), "idToken": of_blog })).await;
        assert_eq!(answer.status, StatusCode::OK, "it is good for its own site");
    }

    #[tokio::test]
    async fn unknown_and_expired_id_tokens_are_refused() {
        let panel = Panel::start().await;
        panel.connect().await;
        let id_token = panel.fake.id_token(panel.site(0));
        panel.clock.advance(Duration::from_secs(15 * 60));
        for token in [id_token.as_str(), "f0rged", "eyJhbGciOiJub25lIn0.e30."] {
            let answer = panel.post(&json!({ "siteId": panel.site(0), "idToken": token })).await;
            assert_eq!(
                (answer.status.as_u16(), answer.kind()),
                (401, "id-token-refused"),
                "{token}"
            );
        }
    }

    #[tokio::test]
    async fn the_site_that_webflow_names_decides() {
        let panel = Panel::start().await;
        panel.connect().await;
        let answer = async |user: Value| {
            panel.fake.fail_next(Endpoint::Resolve, Fault::json(200, &user));
            panel.sign_in(panel.site(0)).await.status.as_u16()
        };
        assert_eq!(answer(json!({"id": "u"})).await, 200, "Webflow may leave it out");
        assert_eq!(answer(json!({"id": "u", "siteId": null})).await, 200);
        assert_eq!(answer(json!({"id": "u", "siteId": panel.site(0)})).await, 200);
        assert_eq!(answer(json!({"id": "u", "siteId": panel.site(1)})).await, 401);
        assert_eq!(answer(json!({"id": "u", "siteId": 7})).await, 502);
        assert_eq!(answer(json!({"siteId": panel.site(0)})).await, 502, "nobody");
        assert_eq!(answer(json!({"id": "u", "email": "x".repeat(9999)})).await, 502, "too long");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_body_times_out() {
        let panel = Panel::start().await;
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let mut request = post(&json!({}));
        *request.body_mut() = endless;
        let answer = panel.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (408, "panel-timeout"));
        let broken =
            stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
        let mut request = post(&json!({}));
        *request.body_mut() = Body::from_stream(broken);
        assert_eq!(panel.send(request).await.status, StatusCode::BAD_REQUEST);
    }
}

mod b5 {
    use super::*;

    #[tokio::test]
    async fn invented_sites_cost_no_call_to_webflow() {
        let panel = Panel::start().await;
        panel.connect().await;
        panel.fake.clear_log();
        let posts = (0..200).map(|i| {
            let body = json!({ "siteId": format!("s{i}"), "workspaceId": format!("w{i}"), "idToken": "x" });
            let panel = &panel;
            async move { panel.post(&body).await.status.as_u16() }
        });
        let statuses = join_all(posts).await;
        assert!(statuses.iter().all(|status| [409, 503].contains(status)), "{statuses:?}");
        assert!(panel.fake.log().is_empty());
    }

    #[tokio::test]
    async fn invented_sites_of_a_connected_workspace_cost_one_listing_a_minute() {
        let panel = Panel::start().await;
        let workspace = panel.fake.workspaces()[0].id().to_owned();
        panel.connect_to(Access::Workspace(workspace.clone())).await;
        panel.fake.clear_log();
        let post = |i: usize| {
            let body =
                json!({ "siteId": format!("s{i}"), "workspaceId": workspace, "idToken": "x" });
            let panel = &panel;
            async move { panel.post(&body).await }
        };
        for i in 0..50 {
            assert_eq!(post(i).await.status, StatusCode::CONFLICT);
        }
        assert_eq!(panel.fake.log().len(), 1, "one GET /v2/sites");
        panel.clock.advance(Duration::from_secs(60));
        assert_eq!(post(0).await.status, StatusCode::CONFLICT);
        assert_eq!(panel.fake.log().len(), 2);
    }

    #[tokio::test]
    async fn after_twenty_refusals_no_call_is_made_for_a_minute() {
        let panel = Panel::start().await;
        panel.connect().await;
        let forged = json!({ "siteId": panel.site(0), "idToken": "f0rged" });
        for _ in 0..20 {
            assert_eq!(panel.sign_in(panel.site(0)).await.status, StatusCode::OK, "does not count");
            assert_eq!(panel.post(&forged).await.status, StatusCode::UNAUTHORIZED);
        }
        panel.fake.clear_log();
        for answer in [panel.post(&forged).await, panel.sign_in(panel.site(0)).await] {
            assert_eq!((answer.status.as_u16(), answer.kind()), (429, "too-many-id-tokens"));
            assert_eq!(answer.header("retry-after"), Some("60"));
        }
        assert!(panel.fake.log().is_empty());
        assert_eq!(panel.sign_in(panel.site(1)).await.status, StatusCode::OK, "another site");
        panel.clock.advance(Duration::from_secs(60));
        assert_eq!(panel.sign_in(panel.site(0)).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn concurrent_posts_are_bounded() {
        let panel = Panel::with(|builder| builder.max_panel_posts(2)).await;
        panel.connect().await;
        let hanging = || {
            let mut request = post(&json!({}));
            *request.body_mut() =
                Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
            Box::pin(panel.app.clone().oneshot(request))
        };
        let mut held = [hanging(), hanging()];
        for request in &mut held {
            assert!(futures::poll!(request).is_pending());
        }
        let answer = panel.sign_in(panel.site(0)).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (503, "panel-busy"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        drop(held);
        assert_eq!(panel.sign_in(panel.site(0)).await.status, StatusCode::OK);
    }
}

mod b8 {
    use super::*;

    #[tokio::test]
    async fn the_panel_learns_of_the_login_by_asking_again() {
        let panel = Panel::start().await;
        let before = panel.sign_in(panel.site(0)).await;
        assert_eq!((before.status.as_u16(), before.kind()), (409, "not-connected"));
        let login = before.json["login_url"].as_str().unwrap();
        assert_eq!(login, "http://127.0.0.1:9/auth/webflow/login?return_to=%2F");
        panel.connect().await;
        let after = panel.sign_in(panel.site(0)).await;
        assert_eq!(after.status, StatusCode::OK, "{}", after.json);
        for nobody in
            [json!({ "siteId": panel.site(0) }), json!({ "siteId": panel.site(0), "idToken": "x" })]
        {
            assert_eq!(panel.post(&nobody).await.status, StatusCode::UNAUTHORIZED);
        }
    }

    #[tokio::test]
    async fn a_site_that_was_added_to_the_workspace_later_is_found_by_it() {
        let panel = Panel::start().await;
        let workspace = panel.fake.workspaces()[0].id().to_owned();
        panel.fake.fail_always(Endpoint::Sites, Fault::json(200, &json!({ "sites": [] })));
        panel.connect_to(Access::Workspace(workspace.clone())).await;
        panel.fake.heal();
        let site = panel.site(1);
        assert_eq!(panel.sign_in(site).await.status, StatusCode::CONFLICT);
        let id_token = panel.fake.id_token(site);
        let body = json!({ "siteId": site, "workspaceId": workspace, "idToken": id_token });
        assert_eq!(panel.post(&body).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn each_outcome_has_its_status() {
    let panel = Panel::start().await;
    panel.connect().await;
    for (fault, status, kind) in [
        (Fault::Status(500), 502, "webflow-error"),
        (Fault::Reset, 502, "webflow-unreachable"),
        (Fault::Status(403), 401, "id-token-refused"),
        (Fault::Status(404), 401, "id-token-refused"),
        (Fault::RateLimited { retry_after: Duration::from_secs(30) }, 503, "webflow-rate-limit"),
    ] {
        panel.fake.fail_always(Endpoint::Resolve, fault.clone());
        let answer = panel.sign_in(panel.site(0)).await;
        assert_eq!((answer.status.as_u16(), answer.kind()), (status, kind), "{fault:?}");
        let waits = answer.header("retry-after").is_some();
        assert_eq!(waits, status == 503);
    }
    panel.fake.heal();
    panel.fake.revoke_everything();
    let answer = panel.sign_in(panel.site(0)).await;
    assert_eq!((answer.status.as_u16(), answer.kind()), (409, "not-connected"));
    let left = panel.auth.handle().tokens_for_site(panel.site(0)).await.unwrap();
    assert!(left.is_empty(), "the dead grant is removed");
}

#[tokio::test]
async fn webflow_that_hangs_is_a_timeout() {
    let panel = Panel::with(|builder| builder.timeout(Duration::from_millis(200))).await;
    panel.connect().await;
    panel.fake.fail_always(Endpoint::Resolve, Fault::Hang);
    let answer = panel.sign_in(panel.site(0)).await;
    assert_eq!((answer.status.as_u16(), answer.kind()), (504, "webflow-timeout"));
}

#[tokio::test]
async fn a_missing_scope_is_reported_as_such() {
    let panel = Panel::with(|builder| builder.scopes([Scope::SITES_READ])).await;
    panel.connect().await;
    let answer = panel.sign_in(panel.site(0)).await;
    assert_eq!((answer.status.as_u16(), answer.kind()), (403, "missing-scopes"));
    assert_eq!(answer.json["missing_scopes"], "authorized_user:read");
    let login = answer.json["login_url"].as_str().unwrap();
    assert!(login.starts_with("http://127.0.0.1:9/auth/webflow/login?"), "{login}");
    assert!(login.contains("authorized_user%3Aread"), "{login}");
    assert!(panel.fake.requests_to(RESOLVE).is_empty());
}

#[tokio::test]
async fn a_bearer_works_without_a_cache() {
    let panel = Panel::with(|builder| builder.cache(CacheConfig::off())).await;
    let token = panel.bearer().await;
    for _ in 0..3 {
        assert_eq!(panel.get("/panel", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn without_an_origin_panels_are_switched_off() {
    let (listed, off) = (Panel::start().await, Panel::start().await);
    let auth = off.fake.layer("http://127.0.0.1:9/auth/webflow/callback").build().unwrap();
    assert_eq!((listed.auth.panel_path(), auth.panel_path()), (Some("/auth/webflow/panel"), None));
    let app = Router::new()
        .route("/auth/webflow/panel", axum::routing::post(|| async { "the application's" }))
        .route("/open", get(|| async { "open" }))
        .layer(auth.optional());
    let (name, value) = bearer("anything");
    for request in [post(&json!({})), request(Method::GET, "/open", &[(name, &value)])] {
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("vary"));
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let webflow = FakeWebflow::start().await;
    let builder = || webflow.layer("http://127.0.0.1:9/auth/webflow/callback");
    let named = |builder: WebflowAuthBuilder| {
        let error = builder.build().unwrap_err();
        error.problems().iter().map(ConfigProblem::setting).collect::<Vec<_>>()
    };
    assert_eq!(named(builder().panel_origin("https://a.example/")), ["panel_origin"]);
    assert_eq!(named(builder().panel_origin("http://a.example")), ["panel_origin"]);
    assert_eq!(named(builder().panel_origin("https://*.webflow-ext.com")), ["panel_origin"]);
    let panels = || builder().panel_origin(ORIGIN);
    assert_eq!(named(panels().panel_path("panel")), ["panel_path"]);
    assert_eq!(named(panels().panel_path("/auth/webflow/callback")), ["panel_path"]);
    assert_eq!(named(panels().panel_path("/auth/webflow/login")), ["login_path"]);
    assert_eq!(named(panels().panel_lifetime(Duration::ZERO)), ["panel_lifetime"]);
    assert!(builder().panel_path("/auth/webflow/login").build().is_ok(), "without panels");
    assert!(panels().panel_origin("http://localhost:1337").build().is_ok());
}

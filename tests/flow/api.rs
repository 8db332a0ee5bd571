//! Calls to Webflow's Data API with the token.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::{Endpoint, Fault, RecordedRequest, TestBrowser};
use tower_webflow_auth::{Scope, Subject, WebflowToken};

use crate::support::App;

/// An application whose only user has connected Webflow, and the user's token.
async fn connected() -> (App, WebflowToken) {
    let app = App::with(|builder| {
        builder.subject(|_| Some(Subject::user("ada"))).scopes([
            Scope::SITES_READ,
            Scope::CMS_READ,
            Scope::CMS_WRITE,
            Scope::AUTHORIZED_USER_READ,
        ])
    })
    .await;
    app.connect(&mut TestBrowser::new(), "/whoami").await;
    let token = app.auth.handle().token(&Subject::user("ada")).await.unwrap().unwrap();
    (app, token)
}

fn wait(secs: u64) -> Fault {
    Fault::RateLimited { retry_after: Duration::from_secs(secs) }
}

#[tokio::test]
async fn responses_are_typed_and_carry_the_rate_limit() {
    let (app, token) = connected().await;
    let response = token.api().get("/v2/sites").send().await.unwrap();
    let limit = response.rate_limit().unwrap();
    assert!(limit.remaining < limit.limit, "{limit:?}");
    let answer: Value = response.json().await.unwrap();
    let sites = token.api().sites().await.unwrap();
    assert_eq!(answer["sites"][0]["id"], sites[0].id.as_str());
    assert_eq!(sites.len(), app.fake.workspaces()[0].sites().len());
    let info = token.api().introspect().await.unwrap();
    assert_eq!(info.scopes, *token.scopes());
    assert_eq!(info.authorization_id.as_deref(), token.authorization_id());
    let user = token.api().authorized_by().await.unwrap();
    assert_eq!(user.email.as_deref(), Some("ada@example.com"));
}

#[tokio::test]
async fn methods_send_their_body_and_query() {
    let (app, token) = connected().await;
    let api = token.api();
    let body = json!({"fieldData": {"name": "x"}});
    let collection = collection(&token, &app).await;
    let path = format!("/v2/collections/{collection}/items");
    let created = api.post(&path).query(&[("skipInvalid", "true")]).json(&body).send().await;
    assert!(created.unwrap().status().is_success());
    let asked = app.fake.requests_to(&path).pop().unwrap();
    assert_eq!(asked.method(), "POST");
    assert_eq!(asked.query(), [("skipInvalid".to_owned(), "true".to_owned())]);
    assert_eq!(asked.json().unwrap(), body);
    for request in [api.patch("/v2/x"), api.put("/v2/x"), api.delete("/v2/x")] {
        match request.json(&body).no_retry().send().await {
            Err(ApiError::Status { status, body, .. }) => {
                assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
                assert_eq!(body.code, "not_implemented");
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn collection(token: &WebflowToken, app: &App) -> String {
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let collections: Vec<Value> =
        token.api().list(["sites", &site, "collections"]).all().await.unwrap();
    collections[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lists_are_fetched_page_by_page() {
    let (app, token) = connected().await;
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let path = format!("/v2/sites/{site}/collections");
    let page = |ids: std::ops::Range<usize>, offset: usize| {
        let items: Vec<_> = ids.map(|id| json!({"id": id})).collect();
        let pagination = json!({"limit": 100, "offset": offset, "total": 250});
        Fault::json(200, &json!({"collections": items, "pagination": pagination}))
    };
    for fault in [page(0..100, 0), page(100..200, 100), page(200..250, 200)] {
        app.fake.fail_next(Endpoint::Collections, fault);
    }
    let list = || token.api().list::<Value>(&path).field("collections").stream();
    let items: Vec<Value> = list().try_collect().await.unwrap();
    assert_eq!(items.len(), 250);
    assert_eq!(items[249]["id"], 249);
    let asked = app.fake.requests_to(&path);
    let pair = |request: &RecordedRequest| request.query().last().cloned().unwrap();
    let pairs = asked.iter().map(pair).collect::<Vec<_>>();
    let expected = [("limit", "100"), ("offset", "100"), ("offset", "200")];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    app.fake.fail_next(Endpoint::Collections, page(0..100, 0));
    app.fake.fail_next(Endpoint::Collections, Fault::Status(400));
    let broken: Result<Vec<Value>, _> = list().try_collect().await;
    assert!(matches!(broken, Err(ApiError::Status { .. })), "{broken:?}");
    app.fake.fail_next(Endpoint::Collections, page(0..0, 0));
    let empty: Vec<Value> = list().try_collect().await.unwrap();
    assert!(empty.is_empty(), "a total without items does not ask for ever");
}

#[tokio::test]
async fn short_retry_after_is_waited_for_and_a_long_one_is_an_error() {
    let (app, token) = connected().await;
    app.fake.fail_next(Endpoint::Sites, wait(1));
    let started = Instant::now();
    token.api().sites().await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));

    app.fake.fail_next(Endpoint::Sites, wait(60));
    match token.api().sites().await {
        Err(ApiError::RateLimited { retry_after: Some(wait), .. }) => {
            assert_eq!(wait, Duration::from_secs(60));
        }
        other => panic!("{other:?}"),
    }
    app.fake.fail_next(Endpoint::Sites, wait(1));
    let once = token.api().get("/v2/sites").no_retry().send().await;
    assert!(matches!(once, Err(ApiError::RateLimited { .. })), "{once:?}");
}

#[tokio::test]
async fn huge_retry_after_does_not_panic() {
    let (app, token) = connected().await;
    app.fake.fail_next(Endpoint::Sites, wait(u64::MAX));
    let refused = token.api().sites().await;
    assert!(matches!(refused, Err(ApiError::RateLimited { .. })), "{refused:?}");
    let patient = token.api().get("/v2/sites").timeout(Duration::MAX).send().await;
    assert!(patient.is_ok(), "{patient:?}");
}

#[tokio::test]
async fn unsafe_calls_are_not_retried() {
    let (app, token) = connected().await;
    app.fake.fail_always(Endpoint::Items, Fault::Status(503));
    let path = "/v2/collections/c/items";
    let sent = token.api().post(path).json(&json!({})).send().await;
    assert!(matches!(sent, Err(ApiError::Status { .. })), "{sent:?}");
    assert_eq!(app.fake.requests_to(path).len(), 1);
    app.fake.clear_log();
    app.fake.fail_always(Endpoint::Sites, wait(0));
    assert!(token.api().sites().await.is_err());
    assert_eq!(app.fake.requests_to("/v2/sites").len(), 3, "others are made three times");
}

#[tokio::test]
async fn slow_huge_or_redirected_responses_are_typed_errors() {
    let (app, token) = connected().await;
    app.fake.fail_next(Endpoint::Sites, Fault::Hang);
    let slow = token.api().get("/v2/sites").timeout(Duration::from_millis(200)).send().await;
    assert!(matches!(slow, Err(ApiError::Timeout)), "{slow:?}");
    app.fake.fail_next(Endpoint::Sites, Fault::Huge(40 * 1024 * 1024));
    let huge = token.api().get("/v2/sites").send().await.unwrap().bytes().await;
    assert!(matches!(huge, Err(ApiError::TooLong)), "{huge:?}");
    for path in ["v2/sites", "https://evil.example/", "//evil.example/", "/\\evil.example", "@evil"]
    {
        let refused = token.api().get(path).send().await;
        assert!(matches!(refused, Err(ApiError::InvalidRequest(_))), "{path}");
    }
}

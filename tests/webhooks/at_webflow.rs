//! Webhooks at Webflow: registering them, deliveries over a socket, and the grants of an event.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::App;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::testing::{Access, Endpoint, FakeEvent, FakeWebhook, Fault, TestBrowser};
use tower_webflow_auth::webhooks::{SyncError, Synced, Trigger, WebflowEvent};
use tower_webflow_auth::{Scope, WebflowToken};

const URL: &str = "https://app.example.com/hooks/webflow";
const OTHERS: &str = "https://elsewhere.example.com/hooks";

/// The application, a token for its first workspace with the scopes for webhooks, and a site.
async fn stage() -> (App, WebflowToken, String) {
    let app = App::start().await;
    app.fake.set_rate_limit(10_000);
    let token =
        WebflowToken::for_test([Scope::SITES_READ, Scope::SITES_WRITE]).webflow(&app.fake).build();
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    (app, token, site)
}

fn counts(synced: Synced) -> (usize, usize, usize) {
    (synced.made, synced.removed, synced.kept)
}

async fn register(token: &WebflowToken, site: &str, trigger: &str, url: &str) -> Value {
    let body = json!({ "triggerType": trigger, "url": url });
    let path = format!("/v2/sites/{site}/webhooks");
    token.api().post(&path).json(&body).send().await.unwrap().json().await.unwrap()
}

mod h11_sync {
    use super::*;

    #[tokio::test]
    async fn creates_missing_webhooks_and_removes_unwanted_ones() {
        let (app, token, site) = stage().await;
        register(&token, &site, "site_publish", OTHERS).await;
        let other_site = app.fake.workspaces()[0].sites()[1].id().to_owned();
        register(&token, &other_site, "site_publish", URL).await;
        let hooks = app.auth.handle().webhooks(&token);

        let wanted = [
            (Trigger::SitePublish, None),
            (Trigger::FormSubmission, Some("Contact")),
            (Trigger::FormSubmission, Some("Order")),
            (Trigger::SitePublish, None), // named twice, made once
        ];
        assert_eq!(counts(hooks.sync(&site, URL, &wanted).await.unwrap()), (3, 0, 0));
        assert_eq!(counts(hooks.sync(&site, URL, &wanted).await.unwrap()), (0, 0, 3));
        let fewer = [(Trigger::FormSubmission, Some("Contact")), (Trigger::CommentCreated, None)];
        assert_eq!(counts(hooks.sync(&site, URL, &fewer).await.unwrap()), (1, 2, 1));
        // A webhook with another URL, even if only a slash differs, is somebody else's.
        let slash = format!("{URL}/");
        assert_eq!(counts(hooks.sync(&site, &slash, &[]).await.unwrap()), (0, 0, 0));
        assert_eq!(hooks.remove_all(&site, URL).await.unwrap(), 2);
        assert_eq!(hooks.remove_all(&site, URL).await.unwrap(), 0);
        let left: Vec<_> = app.fake.webhooks().iter().map(|it| it.url().to_owned()).collect();
        assert_eq!(left, [OTHERS, URL], "that of the other site stays as well");
    }

    #[tokio::test]
    async fn of_duplicates_the_oldest_stays() {
        let (app, token, site) = stage().await;
        let oldest = register(&token, &site, "site_publish", URL).await;
        for _ in 0..2 {
            app.clock.advance(Duration::from_secs(1));
            register(&token, &site, "site_publish", URL).await;
        }
        let hooks = app.auth.handle().webhooks(&token);
        let wanted = [(Trigger::SitePublish, None)];
        assert_eq!(counts(hooks.sync(&site, URL, &wanted).await.unwrap()), (0, 2, 1));
        assert_eq!(app.fake.webhooks()[0].id(), oldest["id"]);
    }

    #[tokio::test]
    async fn two_instances_at_the_same_time_converge() {
        let (app, token, site) = stage().await;
        let hooks = app.auth.handle().webhooks(&token);
        let wanted = [(Trigger::SitePublish, None), (Trigger::PageCreated, None)];
        // Both list no webhooks before either creates one.
        app.fake.fail_times(Endpoint::Webhooks, 2, Fault::Delay(Duration::from_millis(50)));
        let (one, other) =
            tokio::join!(hooks.sync(&site, URL, &wanted), hooks.sync(&site, URL, &wanted));
        assert!(one.unwrap().made + other.unwrap().made >= 2);
        let mut there: Vec<_> =
            app.fake.webhooks().iter().map(|it| it.trigger().to_string()).collect();
        there.sort();
        assert_eq!(there, ["page_created", "site_publish"]);
    }

    #[tokio::test]
    async fn an_interrupted_run_is_completed_by_the_next() {
        let (app, token, site) = stage().await;
        register(&token, &site, "comment_created", URL).await;
        let hooks = app.auth.handle().webhooks(&token);
        let wanted = [(Trigger::SitePublish, None), (Trigger::PageCreated, None)];
        app.fake.fail_next(Endpoint::Webhook, Fault::Status(400).after_effect());
        let error = hooks.sync(&site, URL, &wanted).await.unwrap_err();
        assert!(
            matches!(&error, SyncError::Api { source: ApiError::Status { .. }, .. }),
            "{error:?}"
        );
        assert_eq!(counts(error.done()), (0, 0, 0));
        app.fake.fail_next(Endpoint::Webhooks, Fault::Delay(Duration::ZERO));
        app.fake.fail_next(Endpoint::Webhooks, Fault::Delay(Duration::ZERO));
        app.fake.fail_next(Endpoint::Webhooks, Fault::Status(500));
        let error = hooks.sync(&site, URL, &wanted).await.unwrap_err();
        assert_eq!(counts(error.done()), (1, 0, 0));
        assert_eq!(counts(hooks.sync(&site, URL, &wanted).await.unwrap()), (1, 0, 1));
    }

    #[tokio::test]
    async fn the_76th_of_a_trigger_is_an_error_that_names_the_limit() {
        let (app, token, site) = stage().await;
        for number in 0..74 {
            register(&token, &site, "form_submission", &format!("{OTHERS}/{number}")).await;
        }
        register(&token, &site, "form_submission", URL).await;
        let hooks = app.auth.handle().webhooks(&token);
        // Removing its own unwanted webhook makes room for one.
        let wanted =
            [(Trigger::FormSubmission, Some("One")), (Trigger::FormSubmission, Some("Two"))];
        let error = hooks.sync(&site, URL, &wanted).await.unwrap_err();
        let SyncError::Limit { trigger, limit, done, .. } = &error else { panic!("{error:?}") };
        assert_eq!((trigger, *limit), (&Trigger::FormSubmission, 75));
        assert_eq!(counts(*done), (1, 1, 0));
        assert!(error.to_string().contains("75"), "{error}");
        assert_eq!(app.fake.webhooks().len(), 75);
        // Each trigger has a separate limit.
        let wanted = [(Trigger::FormSubmission, Some("One")), (Trigger::SitePublish, None)];
        assert_eq!(counts(hooks.sync(&site, URL, &wanted).await.unwrap()), (1, 0, 1));
    }

    #[tokio::test]
    async fn invalid_requests_are_not_sent() {
        let (app, token, site) = stage().await;
        let hooks = app.auth.handle().webhooks(&token);
        for (site, wanted) in [
            ("..", (Trigger::SitePublish, None)),
            ("", (Trigger::SitePublish, None)),
            (site.as_str(), (Trigger::SitePublish, Some("a filter"))),
        ] {
            let error = hooks.sync(site, URL, &[wanted]).await.unwrap_err();
            let SyncError::Api { source: ApiError::InvalidRequest(_), .. } = error else {
                panic!("{error:?}")
            };
        }
        assert!(app.fake.log().is_empty());
        let read_only = WebflowToken::for_test([Scope::SITES_READ]).webflow(&app.fake).build();
        let hooks = app.auth.handle().webhooks(&read_only);
        let error = hooks.sync(&site, URL, &[(Trigger::SitePublish, None)]).await.unwrap_err();
        let SyncError::Api { source: ApiError::Forbidden { body, .. }, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(body.code, "missing_scopes");
    }
}

/// An application with a receiving route, whose handler records events and responds on command.
async fn receiving(answer: &Arc<Mutex<StatusCode>>) -> (App, Arc<Mutex<Vec<WebflowEvent>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let app = App::with_router(
        |builder| builder,
        |auth| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(answer));
            let handler = move |event: WebflowEvent| async move {
                seen.lock().unwrap().push(event);
                *answer.lock().unwrap()
            };
            Router::new()
                .route("/hooks", post(handler).layer(auth.webhooks()))
                .merge(crate::support::router(auth))
        },
    )
    .await;
    (app, seen)
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_three_times_and_then_the_webhook_is_deactivated() {
    let answer = Arc::new(Mutex::new(StatusCode::INTERNAL_SERVER_ERROR));
    let (app, seen) = receiving(&answer).await;
    let token =
        WebflowToken::for_test([Scope::SITES_READ, Scope::SITES_WRITE]).webflow(&app.fake).build();
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let hooks = app.auth.handle().webhooks(&token);
    let wanted = [(Trigger::SitePublish, None), (Trigger::FormSubmission, Some("Contact"))];
    hooks.sync(&site, &app.url("/hooks"), &wanted).await.unwrap();

    let event = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": site }));
    assert_eq!(app.fake.deliver(&event).await[0].status, Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert!(app.fake.deliver_due().await.is_empty(), "not yet");
    for _ in 0..3 {
        app.clock.advance(Duration::from_secs(600));
        assert!(app.fake.webhooks().iter().all(FakeWebhook::is_active));
        assert_eq!(app.fake.deliver_due().await.len(), 1);
    }
    let times: Vec<_> = seen.lock().unwrap().iter().map(WebflowEvent::sent_at).collect();
    assert_eq!(times.len(), 4, "each repetition is signed anew and handled");
    assert!(times.windows(2).all(|pair| pair[0] + Duration::from_secs(600) == pair[1]));
    let active: Vec<_> = app.fake.webhooks().iter().map(FakeWebhook::is_active).collect();
    assert_eq!(active, [true, false], "forms, then publications");
    app.clock.advance(Duration::from_secs(600));
    assert!(app.fake.deliver_due().await.is_empty());
    assert!(app.fake.deliver(&event).await.is_empty());

    // Events of another form are not sent, and a successful delivery is not repeated.
    *answer.lock().unwrap() = StatusCode::ACCEPTED;
    let form = |name: &str| {
        FakeEvent::new(Trigger::FormSubmission, json!({ "siteId": site, "name": name }))
    };
    assert!(app.fake.deliver(&form("Order")).await.is_empty());
    assert_eq!(app.fake.deliver(&form("Contact")).await[0].status, Some(StatusCode::OK));
    app.clock.advance(Duration::from_secs(600));
    assert!(app.fake.deliver_due().await.is_empty());
}

#[tokio::test]
async fn a_delivery_can_be_forged_replayed_and_delayed() {
    let answer = Arc::new(Mutex::new(StatusCode::OK));
    let (app, seen) = receiving(&answer).await;
    let url = app.url("/hooks");
    let good = app.fake.sign(&FakeEvent::new(Trigger::PageDeleted, json!({ "siteId": "s" })));
    assert_eq!(good.clone().signed_by("x".repeat(16)).send(&url).await.unwrap(), 401);
    assert_eq!(good.clone().with_body("{}").send(&url).await.unwrap(), 401);
    assert_eq!(good.send(&url).await.unwrap(), 200);
    assert_eq!(good.send(&url).await.unwrap(), 200);
    assert_eq!(seen.lock().unwrap().len(), 1);
    app.clock.advance(Duration::from_secs(301));
    assert_eq!(good.send(&url).await.unwrap(), 401);
    assert_eq!(good.send("http://127.0.0.1:9/").await, None);
}

#[tokio::test]
async fn an_event_finds_the_grants_of_its_site_and_of_its_whole_workspace() {
    let answer = Arc::new(Mutex::new(StatusCode::OK));
    let (app, seen) = receiving(&answer).await;
    let workspace = &app.fake.workspaces()[0];
    let site = workspace.sites()[0].id().to_owned();
    let deliver = async |payload: Value| {
        let event = FakeEvent::new(Trigger::CollectionItemChanged, payload);
        assert_eq!(app.fake.sign(&event).send(&app.url("/hooks")).await.unwrap(), 200);
        let event = seen.lock().unwrap().pop().unwrap();
        event.tokens().await.unwrap().len()
    };
    let allow = async |access: Access| {
        let mut browser = TestBrowser::new();
        let login = browser.step(&app.url("/auth/webflow/login")).await.unwrap();
        let callback = app.fake.approve_with(login.location().unwrap(), access).unwrap();
        browser.visit(callback.as_str()).await.unwrap();
    };
    let named = json!({ "siteId": site, "workspaceId": workspace.id() });
    assert_eq!(deliver(named.clone()).await, 0, "nobody has connected it");
    app.clock.advance(Duration::from_millis(1));
    allow(Access::Workspace(workspace.id().to_owned())).await;
    assert_eq!(deliver(named).await, 1);
    allow(Access::Sites(vec![site.clone()])).await;
    assert!(deliver(json!({ "siteId": site })).await >= 1);
    assert_eq!(deliver(json!({ "orderId": "an order names no site" })).await, 0);
}

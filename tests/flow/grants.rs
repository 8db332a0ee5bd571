//! Several grants of one subject, hooks, and tokens outside a request.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::get;
use tower_webflow_auth::handle::IdTokenError;
use tower_webflow_auth::testing::{Access, TestBrowser};
use tower_webflow_auth::{GrantPolicy, Scope, Subject, WebflowGrants, WebflowToken};

use crate::support::App;

async fn workspaces(grants: WebflowGrants) -> String {
    grants.iter().flat_map(WebflowToken::workspaces).cloned().collect::<Vec<_>>().join(" ")
}

async fn chosen(token: WebflowToken) -> String {
    token.workspaces().join(" ")
}

async fn app(users: bool) -> App {
    App::with_router(
        |builder| {
            let builder =
                builder.grants(GrantPolicy::PerWorkspace).select_grant(|parts, grants| match parts
                    .headers
                    .get("x-workspace")
                {
                    None => grants.first().cloned(),
                    Some(wanted) => {
                        let wanted = wanted.to_str().ok()?;
                        let covers =
                            |it: &&WebflowToken| it.workspaces().iter().any(|id| id == wanted);
                        grants.iter().find(covers).cloned()
                    }
                });
            if users { builder.subject(|_| Some(Subject::user("ada"))) } else { builder }
        },
        |auth| {
            Router::new()
                .route("/all", get(workspaces))
                .route("/chosen", get(chosen))
                .layer(auth.clone())
                .route("/maybe", get(workspaces).layer(auth.optional()))
        },
    )
    .await
}

/// Connects one workspace of the fake's user through the login path.
async fn connect(app: &App, browser: &mut TestBrowser, workspace: usize) -> String {
    let id = app.fake.workspaces()[workspace].id().to_owned();
    allow(app, browser, Access::Workspace(id.clone())).await;
    id
}

async fn allow(app: &App, browser: &mut TestBrowser, access: Access) {
    let login = browser.step(&app.url("/auth/webflow/login")).await.unwrap();
    let callback = app.fake.approve_with(login.location().unwrap(), access).unwrap();
    let back = browser.step(callback.as_str()).await.unwrap();
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
}

async fn several(users: bool) {
    let app = app(users).await;
    let mut browser = TestBrowser::new();
    assert_eq!(browser.visit(&app.url("/maybe")).await.unwrap().text, "");
    let first = connect(&app, &mut browser, 0).await;
    let second = connect(&app, &mut browser, 1).await;
    let all = browser.visit(&app.url("/all")).await.unwrap().text;
    assert_eq!(all, format!("{second} {first}"), "the second keeps the first, newest first");
    assert_eq!(browser.visit(&app.url("/chosen")).await.unwrap().text, second);

    let mut headers = HeaderMap::new();
    headers.insert("x-workspace", first.parse().unwrap());
    let page = browser.send(Method::GET, &app.url("/chosen"), &headers, None).await.unwrap();
    assert_eq!(page.text, first);
    headers.insert("x-workspace", "none".parse().unwrap());
    let page = browser.send(Method::GET, &app.url("/chosen"), &headers, None).await.unwrap();
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "no such grant");

    // Connecting a workspace again replaces only that workspace's grant.
    connect(&app, &mut browser, 0).await;
    let all = browser.visit(&app.url("/all")).await.unwrap().text;
    assert_eq!(all, format!("{first} {second}"));

    // Disconnecting one keeps the other.
    let handle = app.auth.handle();
    let [grant] = handle.tokens_for_workspace(&first).await.unwrap().try_into().unwrap();
    handle.revoke_grant(&grant).await.unwrap();
    assert_eq!(browser.visit(&app.url("/all")).await.unwrap().text, second);
    assert_eq!(handle.revoke(grant.subject()).await.unwrap(), 1);
    assert_eq!(handle.revoke(grant.subject()).await.unwrap(), 0, "again is no error");
    assert_eq!(browser.visit(&app.url("/maybe")).await.unwrap().text, "");
}

#[tokio::test]
async fn session_holds_a_grant_per_workspace() {
    several(false).await;
}

#[tokio::test]
async fn user_holds_a_grant_per_workspace() {
    several(true).await;
}

/// A grant of single sites does not belong to another workspace, although it names no workspace.
async fn sites_beside_a_workspace(users: bool) {
    let app = app(users).await;
    let mut browser = TestBrowser::new();
    let site = app.fake.workspaces()[1].sites()[0].id().to_owned();
    allow(&app, &mut browser, Access::Sites(vec![site.clone()])).await;
    let whole = connect(&app, &mut browser, 0).await;
    assert_eq!(browser.visit(&app.url("/all")).await.unwrap().text, whole);
    let handle = app.auth.handle();
    let [kept] = handle.tokens_for_site(&site).await.unwrap().try_into().unwrap();
    assert_eq!(handle.tokens(kept.subject()).await.unwrap().len(), 2);
    let all = handle.tokens_for_workspace(&whole).await.unwrap();
    assert_eq!(all[0].subject(), kept.subject(), "both are the same browser's");
}

#[tokio::test]
async fn session_keeps_a_site_grant_besides_another_workspace() {
    sites_beside_a_workspace(false).await;
}

#[tokio::test]
async fn user_keeps_a_site_grant_besides_another_workspace() {
    sites_beside_a_workspace(true).await;
}

#[tokio::test]
async fn new_grant_replaces_the_old_by_default() {
    let app = App::with_router(
        |builder| builder,
        |auth| Router::new().route("/all", get(workspaces)).layer(auth.clone()),
    )
    .await;
    let mut browser = TestBrowser::new();
    connect(&app, &mut browser, 0).await;
    let second = connect(&app, &mut browser, 1).await;
    assert_eq!(browser.visit(&app.url("/all")).await.unwrap().text, second);
    assert_eq!(app.fake.live_tokens(), 2, "the replaced one is not revoked at Webflow");
}

#[tokio::test]
async fn hooks_report_grants_denials_and_revocations_and_may_panic() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = |line: &'static str| {
        let heard = Arc::clone(&heard);
        move |detail: String| heard.lock().unwrap().push(format!("{line} {detail}"))
    };
    let (authorized, failed, revoked) = (log("authorized"), log("failed"), log("revoked"));
    let app = App::with(|builder| {
        builder
            .on_authorized(move |new| {
                authorized(format!("first={} {}", new.is_first(), new.token().scopes()));
                async { panic!("as the test wants") }
            })
            .on_error(move |error| {
                failed(error.kind().to_string());
                let teapot = axum::http::Response::builder().status(418);
                (error.kind().as_str() == "malformed-callback")
                    .then(|| teapot.body("own".into()).unwrap())
            })
            .on_revoked(move |gone| {
                revoked(format!("{:?}", gone.why()));
                std::future::ready(())
            })
    })
    .await;
    let mut browser = app.connected().await;
    app.connect(&mut browser, "/auth/webflow/login").await;
    let own = browser.visit(&app.url("/auth/webflow/callback")).await.unwrap();
    assert_eq!((own.status.as_u16(), own.text.as_str()), (418, "own"));
    assert_eq!(own.headers["cache-control"], "no-store");
    let page = browser.visit(&app.url("/auth/webflow/callback?code=x&state=y")).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    app.auth.shutdown().await;
    assert_eq!(
        *heard.lock().unwrap(),
        [
            "authorized first=true sites:read cms:read",
            "authorized first=false sites:read cms:read",
            "revoked Replaced",
            "failed malformed-callback",
            "failed unknown-flow",
            "revoked SignedOut",
        ]
    );
}

#[tokio::test]
async fn designer_id_token_is_resolved_by_the_sites_grant() {
    let app = App::with(|builder| builder.scopes([Scope::AUTHORIZED_USER_READ])).await;
    let mut browser = TestBrowser::new();
    let authorize = browser.step(&app.url("/whoami")).await.unwrap().location().unwrap();
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let access = Access::Sites(vec![site.clone()]);
    let callback = app.fake.approve_with(&authorize, access).unwrap();
    browser.visit(callback.as_str()).await.unwrap();

    let handle = app.auth.handle();
    let id_token = app.fake.id_token(&site);
    let user = handle.resolve_id_token(&site, &id_token).await.unwrap();
    assert!(user.id.is_some() && user.email.is_some(), "{user:?}");
    let unknown = handle.resolve_id_token("another", &id_token).await.unwrap_err();
    assert!(matches!(unknown, IdTokenError::NoGrant));
    app.clock.advance(std::time::Duration::from_secs(15 * 60));
    let late = handle.resolve_id_token(&site, &id_token).await.unwrap_err();
    assert!(matches!(late, IdTokenError::Refused), "{late}");
}

//! Tokens belong to the application's own users: with axum-login, tower-sessions and JWT.

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Subject, SubjectResolver, WebflowAuthLayer, config::WebflowAuthBuilder};

use crate::support::App;
use crate::{axum_login_example, jwt_example, tower_sessions_example};

async fn sign_in(app: &App, browser: &mut TestBrowser, name: &str) {
    let page = browser.visit(&app.url(&format!("/login/{name}"))).await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
}

async fn drive(
    with_subject: fn(WebflowAuthBuilder) -> WebflowAuthBuilder,
    router: fn(&WebflowAuthLayer) -> Router,
) {
    let app = App::with_router(with_subject, router).await;
    let webflow = app.url("/webflow");

    // O6: while nobody is signed in, the crate sets no session cookie.
    let mut browser = TestBrowser::new();
    let page = browser.visit(&webflow).await.unwrap();
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("not-signed-in"), "{}", page.text);
    assert!(page.set_cookies().iter().all(|set| !set.starts_with("webflow")));
    let fetched = browser.fetch(Method::GET, &webflow).await.unwrap();
    assert_eq!(fetched.json()["type"], "urn:tower-webflow-auth:not-signed-in");

    sign_in(&app, &mut browser, "ada").await;
    let page = app.connect(&mut browser, "/webflow").await;
    assert_eq!((page.path(), page.text.as_str()), ("/webflow", "ada"));

    // S4: a flow that Ada started is not completed while Bob is signed in.
    let callback = app.callback(&mut browser, "/auth/webflow/login").await;
    sign_in(&app, &mut browser, "bob").await;
    let page = browser.visit(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert_eq!(app.fake.issued_tokens(), 1, "and its code is not used");

    // Bob does not get Ada's token, and his own does not replace hers.
    let page = app.connect(&mut browser, "/webflow").await;
    assert_eq!(page.text, "bob");
    browser.visit(&app.url("/logout")).await.unwrap();
    assert_eq!(browser.visit(&webflow).await.unwrap().status, StatusCode::UNAUTHORIZED);
    sign_in(&app, &mut browser, "ada").await;
    let page = browser.visit(&webflow).await.unwrap();
    assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "ada"), "still connected");
}

#[tokio::test]
async fn with_axum_login() {
    drive(axum_login_example::with_subject, axum_login_example::app).await;
}

#[tokio::test]
async fn with_tower_sessions() {
    drive(tower_sessions_example::with_subject, tower_sessions_example::app).await;
}

#[tokio::test]
async fn with_a_custom_jwt_layer() {
    drive(jwt_example::with_subject, jwt_example::app).await;
}

/// A user lookup that can fail.
struct LookUp;

impl SubjectResolver for LookUp {
    async fn resolve(
        &self,
        parts: &axum::http::request::Parts,
    ) -> Result<Option<Subject>, Box<dyn std::error::Error + Send + Sync>> {
        tokio::task::yield_now().await;
        match parts.headers.get("x-user").map(|user| user.to_str().unwrap()) {
            None => Ok(None),
            Some("down") => Err("the users' database is down".into()),
            Some("panic") => panic!("as the test wants"),
            Some(user) => Ok(Some(Subject::user(user))),
        }
    }
}

#[tokio::test]
async fn with_an_async_resolver() {
    let app = App::with(|builder| builder.subject_resolver(LookUp)).await;
    let mut browser = TestBrowser::new();
    for (user, status) in [("", 401), ("down", 503), ("panic", 500)] {
        let mut headers = HeaderMap::new();
        if !user.is_empty() {
            headers.insert("x-user", user.parse().unwrap());
        }
        for path in ["/whoami", "/auth/webflow/login", "/auth/webflow/callback?code=a&state=b"] {
            let page = browser.send(Method::GET, &app.url(path), &headers, None).await.unwrap();
            assert_eq!(page.status.as_u16(), status, "{user} at {path}");
            assert!(page.set_cookies().is_empty());
        }
        // An error response needs no user. A failed lookup is not treated as signed out.
        let url = app.url("/auth/webflow/callback?error=access_denied&state=b");
        let page = browser.send(Method::GET, &url, &headers, None).await.unwrap();
        let expected = if status == 401 { 400 } else { status };
        assert_eq!(page.status.as_u16(), expected, "{user} with an error");
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-user", "ada".parse().unwrap());
    headers.insert("accept", "text/html".parse().unwrap());
    let challenge = browser.send(Method::GET, &app.url("/whoami"), &headers, None).await.unwrap();
    let callback = app.fake.approve(challenge.location().unwrap()).unwrap();
    let back = browser.send(Method::GET, callback.as_str(), &headers, None).await.unwrap();
    assert_eq!(back.location().unwrap().path(), "/whoami");
    let page = browser.send(Method::GET, &app.url("/whoami"), &headers, None).await.unwrap();
    assert_eq!(page.json()["subject"], "user:ada");
}

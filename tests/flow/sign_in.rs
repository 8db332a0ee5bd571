//! An application with its own users, in browsers where nobody is signed in yet.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use tower_webflow_auth::testing::{Page, TestBrowser};
use tower_webflow_auth::{Next, Subject, config::WebflowAuthBuilder};

use crate::support::App;
use crate::support::hostile::{
    TestStore, cookies_of, headers, parameter, raw_request, second_instance,
};

const HOST: &str = "127.0.0.1";
const CALLBACK: &str = "/auth/webflow/callback";
const LOGIN: &str = "/auth/webflow/login?return_to=/whoami";

fn user(headers: &HeaderMap) -> Option<Subject> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    let name = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("user="))?;
    Some(Subject::user(name))
}

fn with_users(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|parts| user(&parts.headers)).sign_in_at("/sign-in")
}

async fn start() -> App {
    App::with(with_users).await
}

fn sign_in(browser: &mut TestBrowser, user: &str) {
    browser.set_cookie(HOST, "user", user);
}

fn location(page: &Page) -> &str {
    page.headers.get("location").map_or("", |it| it.to_str().unwrap())
}

/// The path in the `next` parameter of a redirect to the sign-in page.
fn next(page: &Page) -> String {
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert!(location(page).starts_with("/sign-in?next="), "{}", location(page));
    let location = page.location().unwrap();
    let next = location.query_pairs().find(|(name, _)| name == "next");
    next.unwrap().1.into_owned()
}

/// An application and its store.
async fn with_store() -> (App, TestStore) {
    let store = TestStore::default();
    let kept = store.clone();
    (App::with(|builder| with_users(builder).store(kept)).await, store)
}

/// Another instance with that store.
async fn instance_beside(app: &App, store: &TestStore) -> App {
    let (store, clock) = (store.clone(), app.clock.clone());
    second_instance(app, |builder| with_users(builder).store(store).clock(clock)).await
}

/// Completes a flow at Webflow while nobody is signed in. Returns the path that claims its code.
async fn parked(app: &App, browser: &mut TestBrowser) -> String {
    let callback = app.callback(browser, LOGIN).await;
    let page = browser.step(&callback).await.unwrap();
    let claim = next(&page);
    assert_eq!(claim, format!("{CALLBACK}?state={}", parameter(&callback, "state")));
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    claim
}

fn assert_nothing_happened(app: &App) {
    assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "a code was used");
    assert_eq!(app.fake.issued_tokens(), 0);
}

#[tokio::test]
async fn signed_out_navigation_is_sent_to_the_sign_in_page() {
    let app = start().await;
    let mut browser = TestBrowser::new();
    let page = browser.step(&app.url("/whoami?a=b%20c&d")).await.unwrap();
    assert_eq!(location(&page), "/sign-in?next=%2Fwhoami%3Fa%3Db%2520c%26d");
    assert!(page.set_cookies().is_empty());
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");

    let long = format!("/whoami?{}", "x".repeat(3000));
    assert_eq!(next(&browser.step(&app.url(&long)).await.unwrap()), "/");

    let fetched = browser.fetch(Method::GET, &app.url("/whoami")).await.unwrap();
    assert_eq!(fetched.status, StatusCode::UNAUTHORIZED);
    assert_eq!(fetched.json()["type"], "urn:tower-webflow-auth:not-signed-in");
    let login_url = fetched.json()["login_url"].as_str().unwrap().to_owned();
    assert!(login_url.starts_with("/sign-in?next="), "{login_url}");

    let htmx = headers(&[("hx-request", "true"), ("accept", "text/html")]);
    let htmx = browser.send(Method::GET, &app.url("/whoami"), &htmx, None).await.unwrap();
    assert_eq!(htmx.status, StatusCode::UNAUTHORIZED);
    assert!(htmx.headers["hx-redirect"].to_str().unwrap().starts_with("/sign-in?next="));

    let form = browser.submit(&app.url("/sites")).await.unwrap();
    assert_eq!(form.status, StatusCode::UNAUTHORIZED);
    assert!(form.text.contains("href=\"/sign-in?next="), "{}", form.text);

    let optional = browser.step(&app.url("/")).await.unwrap();
    assert_eq!(optional.status, StatusCode::OK, "optional routes are as without it");
}

#[tokio::test]
async fn sign_in_page_behind_the_layer_does_not_lead_to_itself() {
    let app = App::with(|builder| {
        builder.subject(|parts| user(&parts.headers)).sign_in_at("/deep/path?from=webflow")
    })
    .await;
    let mut browser = TestBrowser::new();
    let page = browser.visit(&app.url("/whoami")).await.unwrap();
    assert_eq!((page.path(), page.text.as_str()), ("/deep/path", "deep"));
    assert_eq!(page.url.query(), Some("from=webflow&next=%2Fwhoami"));
}

#[tokio::test]
async fn denial_needs_nobody_signed_in() {
    let app = start().await;
    for signed_in in [false, true] {
        let mut browser = TestBrowser::new();
        if signed_in {
            sign_in(&mut browser, "ada");
        }
        let callback = app.callback(&mut browser, LOGIN).await;
        let state = parameter(&callback, "state");
        browser.drop_cookies("user");
        let denied = format!("{CALLBACK}?error=access_denied&state={state}");
        let page = browser.step(&app.url(&denied)).await.unwrap();
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
        assert!(browser.cookies(HOST).is_empty(), "the flow is over");
    }
    assert_nothing_happened(&app);
}

mod i1 {
    use super::*;

    #[tokio::test]
    async fn parked_code_is_exchanged_once_for_whoever_signs_in() {
        let (app, store) = with_store().await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        assert_nothing_happened(&app);
        assert!(store.rows().is_empty());

        // Nobody is signed in yet: another redirect to the sign-in page, without setting the cookie
        // again.
        let again = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!(next(&again), claim);
        assert!(again.set_cookies().is_empty());

        sign_in(&mut browser, "ada");
        let page = browser.visit(&app.url(&claim)).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
        assert_eq!(page.json()["subject"], Subject::user("ada").as_str());
        assert_eq!(browser.cookies(HOST), [("user".to_owned(), "ada".to_owned())]);
        assert_eq!(app.fake.issued_tokens(), 1);

        // A repeated claim finds the grant.
        let twice = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!((twice.status, location(&twice)), (StatusCode::SEE_OTHER, "/"));
        assert_eq!(app.fake.issued_tokens(), 1);
    }

    #[tokio::test]
    async fn protected_page_leads_to_the_parked_code_instead_of_webflow() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        sign_in(&mut browser, "ada");
        let page = browser.step(&app.url("/sites")).await.unwrap();
        assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, claim.as_str()));
        let fetched = browser.fetch(Method::GET, &app.url("/sites")).await.unwrap();
        assert_eq!(fetched.status, StatusCode::UNAUTHORIZED, "scripts claim nothing");
        let page = browser.visit(&app.url("/sites")).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
    }

    #[tokio::test]
    async fn another_browser_cannot_claim_it() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        let mut other = TestBrowser::new();
        sign_in(&mut other, "bob");
        let page = other.step(&app.url(&claim)).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        assert_nothing_happened(&app);
    }

    #[tokio::test]
    async fn flow_of_one_user_waits_for_that_user() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        sign_in(&mut browser, "ada");
        let callback = app.callback(&mut browser, LOGIN).await;
        browser.drop_cookies("user");
        let claim = next(&browser.step(&callback).await.unwrap());
        sign_in(&mut browser, "bob");
        let page = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        let page = browser.step(&app.url("/sites")).await.unwrap();
        assert!(location(&page).contains("/oauth/authorize"), "Bob has no code to claim");
        assert_nothing_happened(&app);
        sign_in(&mut browser, "ada");
        let page = browser.visit(&app.url(&claim)).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
    }

    #[tokio::test]
    async fn code_waits_fifteen_minutes_from_its_arrival() {
        let app = start().await;
        for (minutes, expected) in [(14, "/whoami"), (15, CALLBACK)] {
            let mut browser = TestBrowser::new();
            let callback = app.callback(&mut browser, LOGIN).await;
            // The flow's lifetime counts until the code arrives.
            app.clock.advance(Duration::from_secs(10 * 60));
            let claim = next(&browser.step(&callback).await.unwrap());
            app.clock.advance(Duration::from_secs(minutes * 60));
            // Repeating the callback does not extend the wait.
            browser.step(&callback).await.unwrap();
            sign_in(&mut browser, "ada");
            let page = browser.visit(&app.url(&claim)).await.unwrap();
            // Webflow accepts codes for 15 minutes, too. The fake counts from the consent.
            assert!(page.path() == expected || minutes == 14, "{}: {}", page.url, page.text);
            if minutes == 15 {
                assert_eq!(page.status, StatusCode::BAD_REQUEST);
                assert!(page.text.contains("took too long"), "{}", page.text);
            }
        }
    }

    #[tokio::test]
    async fn logout_drops_it() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        let cookies = browser.cookies(HOST);
        browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
        assert!(browser.cookies(HOST).is_empty());
        // Not even a browser that kept the cookie can claim the code at this instance.
        for (name, value) in cookies {
            browser.set_cookie(HOST, &name, &value);
        }
        sign_in(&mut browser, "ada");
        let page = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        assert_nothing_happened(&app);
    }

    #[tokio::test]
    async fn two_instances_exchange_it_once() {
        let (app, store) = with_store().await;
        let other = instance_beside(&app, &store).await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        sign_in(&mut browser, "ada");
        let mut same = browser.clone();
        let (here, there) = (app.url(&claim), other.url(&claim));
        let (here, there) = futures::join!(browser.step(&here), same.step(&there));
        for page in [here.unwrap(), there.unwrap()] {
            assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, "/whoami"));
        }
        assert_eq!((app.fake.issued_tokens(), store.rows().len()), (1, 1));
    }

    #[tokio::test]
    async fn restart_loses_nothing() {
        let (app, store) = with_store().await;
        let mut browser = TestBrowser::new();
        let claim = parked(&app, &mut browser).await;
        let restarted = instance_beside(&app, &store).await;
        sign_in(&mut browser, "ada");
        let page = browser.step(&restarted.url(&claim)).await.unwrap();
        assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, "/whoami"));
    }

    #[tokio::test]
    async fn only_navigations_claim_and_head_parks_nothing() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, LOGIN).await;
        let target = callback.strip_prefix(&app.url("")).unwrap();
        let cookies = cookies_of(&browser);
        let head = raw_request(&app, "HEAD", target, &[&format!("Cookie: {cookies}")]).await;
        assert_eq!((head.status, head.headers("set-cookie").len()), (200, 0));

        let claim = next(&browser.step(&callback).await.unwrap());
        sign_in(&mut browser, "ada");
        let cookies = format!("Cookie: {}", cookies_of(&browser));
        let html = "Accept: text/html";
        for (method, headers, status) in [
            ("HEAD", vec![html], 200),
            ("OPTIONS", vec![html], 405),
            ("POST", vec![html], 405),
            ("GET", vec![html, "Sec-Purpose: prefetch"], 403),
            ("GET", vec!["Accept: application/json"], 401),
            ("GET", vec!["Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin"], 401),
            ("GET", vec!["HX-Request: true", html], 401),
        ] {
            let headers: Vec<_> = headers.into_iter().chain([cookies.as_str()]).collect();
            let answer = raw_request(&app, method, &claim, &headers).await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
            assert!(answer.headers("set-cookie").is_empty(), "{method} {headers:?}");
        }
        assert_nothing_happened(&app);
        let page = browser.visit(&app.url(&claim)).await.unwrap();
        assert_eq!(page.path(), "/whoami");
    }

    #[tokio::test]
    async fn long_code_is_not_parked_and_the_cookie_stays_short() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let long_page = format!("/auth/webflow/login?return_to=/{}", "x".repeat(1900));
        let callback = app.callback(&mut browser, &long_page).await;
        let state = parameter(&callback, "state");
        for (length, parks) in [(1025, false), (1024, true)] {
            let target = format!("{CALLBACK}?code={}&state={state}", "c".repeat(length));
            let page = browser.step(&app.url(&target)).await.unwrap();
            let status = if parks { StatusCode::SEE_OTHER } else { StatusCode::BAD_REQUEST };
            assert_eq!(page.status, status, "{length}");
        }
        let cookies = browser.cookies(HOST);
        assert!(cookies.iter().all(|(name, value)| name.len() + value.len() < 4096));
        assert_nothing_happened(&app);
    }

    #[tokio::test]
    async fn refused_code_is_forgotten() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, LOGIN).await;
        let state = parameter(&callback, "state");
        let page = browser.step(&app.url(&format!("{CALLBACK}?code=junk&state={state}"))).await;
        let claim = next(&page.unwrap());
        sign_in(&mut browser, "ada");
        let page = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        let page = browser.step(&app.url("/sites")).await.unwrap();
        assert!(location(&page).contains("/oauth/authorize"), "no loop: {}", location(&page));
    }

    #[tokio::test]
    async fn install_waits_for_sign_in() {
        let app = start().await;
        let mut browser = TestBrowser::new();
        let page = browser.step(&app.url(&format!("{CALLBACK}?code=theirs"))).await.unwrap();
        let authorize = page.location().unwrap();
        assert_eq!(authorize.path(), "/oauth/authorize");
        let callback = app.fake.approve(authorize.as_str()).unwrap();
        let claim = next(&browser.step(callback.as_str()).await.unwrap());
        sign_in(&mut browser, "ada");
        let page = browser.step(&app.url(&claim)).await.unwrap();
        assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, "/"));
        assert_eq!(app.fake.issued_tokens(), 1);
    }
}

#[tokio::test]
async fn claim_runs_the_hook() {
    let app = App::with(|builder| {
        with_users(builder).on_authorized(|new| async move {
            assert_eq!(new.subject(), &Subject::user("ada"));
            Ok(Next::redirect("/welcome"))
        })
    })
    .await;
    let mut browser = TestBrowser::new();
    let claim = parked(&app, &mut browser).await;
    sign_in(&mut browser, "ada");
    let page = browser.step(&app.url(&claim)).await.unwrap();
    assert_eq!(location(&page), "/welcome");
}

#[tokio::test]
async fn without_a_sign_in_page_signed_out_browsers_get_a_401() {
    let app = App::with(|builder| builder.subject(|parts| user(&parts.headers))).await;
    let mut browser = TestBrowser::new();
    for path in ["/whoami", LOGIN, "/auth/webflow/callback?code=a&state=b"] {
        let page = browser.step(&app.url(path)).await.unwrap();
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

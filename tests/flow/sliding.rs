//! Sessions are extended while they are used, up to a maximum, and never through a shared cache.

use std::time::Duration;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, EXPIRES, SET_COOKIE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_webflow_auth::WebflowToken;
use tower_webflow_auth::testing::{Page, TestBrowser};

use crate::support::App;
use crate::support::hostile::headers;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAVIGATION: [(&str, &str); 2] = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];

async fn load(app: &App, browser: &mut TestBrowser, path: &str) -> Page {
    browser.send(Method::GET, &app.url(path), &headers(&NAVIGATION), None).await.unwrap()
}

/// The lifetime of the session cookie that the response sets, in days.
fn days(page: &Page) -> Option<u64> {
    let sets = page.set_cookies();
    let set = sets.iter().find(|set| set.starts_with("webflow-session="))?;
    let seconds: u64 = set.split("Max-Age=").nth(1)?.parse().ok()?;
    Some(seconds / DAY.as_secs())
}

mod i4 {
    use super::*;

    #[tokio::test]
    async fn an_active_session_slides_up_to_its_maximum() {
        let app = App::with(|builder| builder.session_max_lifetime(90 * DAY)).await;
        let mut browser = app.connected().await;
        assert_eq!(days(&load(&app, &mut browser, "/whoami").await), None, "nothing is gained yet");
        for _ in 0..8 {
            app.clock.advance(10 * DAY);
            let page = load(&app, &mut browser, "/whoami").await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        }
        app.clock.advance(9 * DAY);
        assert_eq!(load(&app, &mut browser, "/whoami").await.status, StatusCode::OK, "day 89");
        app.clock.advance(2 * DAY);
        let page = load(&app, &mut browser, "/whoami").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "the maximum has passed");
    }

    #[tokio::test]
    async fn only_page_loads_slide() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        app.clock.advance(2 * DAY);
        for (method, given) in [
            (Method::GET, vec![("accept", "application/json")]),
            (Method::GET, vec![("sec-fetch-mode", "cors")]),
            (Method::HEAD, NAVIGATION.to_vec()),
            (Method::GET, vec![NAVIGATION[0], NAVIGATION[1], ("sec-purpose", "prefetch")]),
            (Method::POST, NAVIGATION.to_vec()),
        ] {
            let page =
                browser.send(method, &app.url("/sites"), &headers(&given), None).await.unwrap();
            assert_eq!(days(&page), None, "{given:?}");
        }
        let page = load(&app, &mut browser, "/whoami").await;
        assert_eq!(days(&page), Some(30));
        assert_eq!(page.headers[CACHE_CONTROL], "private");
        assert_eq!(days(&load(&app, &mut browser, "/whoami").await), None, "once");
    }

    #[tokio::test]
    async fn optional_routes_slide_for_users_with_a_grant_only() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        app.clock.advance(2 * DAY);
        assert_eq!(days(&load(&app, &mut TestBrowser::new(), "/").await), None);
        assert_eq!(days(&load(&app, &mut browser, "/").await), Some(30));
    }

    async fn cached(path: axum::extract::Path<String>, _: WebflowToken) -> Response {
        let mut response = "page".into_response();
        let mut set = |name, value: &str| {
            response.headers_mut().append(name, value.parse().unwrap());
        };
        match path.as_str() {
            "expires" => set(EXPIRES, "Thu, 01 Jan 2099 00:00:00 GMT"),
            "own" => set(SET_COOKIE, "webflow-session=own; Path=/"),
            value => set(CACHE_CONTROL, &value.replace('_', ", ").replace(':', "=")),
        }
        response
    }

    #[tokio::test]
    async fn sets_no_cookie_on_responses_that_shared_caches_may_store() {
        let app = App::with_router(
            |builder| builder,
            |auth| Router::new().route("/c/{how}", get(cached)).layer(auth.clone()),
        )
        .await;
        let mut browser = TestBrowser::new();
        app.connect(&mut browser, "/c/no-store").await;
        app.clock.advance(2 * DAY);
        for (how, slides) in [
            ("public_max-age:60", false),
            ("s-maxage:60", false),
            ("max-age:60", false),
            ("expires", false),
            ("own", false),
            ("max-age:60_private", true),
            ("no-cache", true),
        ] {
            let mut browser = browser.clone();
            let page = load(&app, &mut browser, &format!("/c/{how}")).await;
            assert_eq!(page.status, StatusCode::OK, "{how}: {}", page.text);
            assert_eq!(days(&page).is_some(), slides, "{how}: {:?}", page.headers);
        }
    }
}

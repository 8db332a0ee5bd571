//! Regression tests for faults seen in runs: state that was lost together with the object, request
//! or cookie that carried it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use tower_webflow_auth::testing::{Access, Endpoint, Fault, Page, TestBrowser};
use tower_webflow_auth::{
    GrantPolicy, Scope, Subject, SubjectResolver, WebflowToken, config::CacheConfig,
};

use crate::support::hostile::{
    CALLBACK, HOST, LOGIN, LOGOUT, OnRemove, TestStore, cookie_line, headers, parameter, raw_get,
    second_instance,
};
use crate::support::log::logged;
use crate::support::{App, router};

const NAVIGATION: [(&str, &str); 2] = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];

async fn app() -> (App, TestStore) {
    let store = TestStore::default();
    let kept = store.clone();
    (App::with(|builder| builder.store(kept)).await, store)
}

async fn get_with(app: &App, browser: &mut TestBrowser, path: &str, h: &[(&str, &str)]) -> Page {
    browser.send(Method::GET, &app.url(path), &headers(h), None).await.unwrap()
}

mod c2_junk_codes {
    use super::*;

    #[tokio::test]
    async fn three_refused_codes_end_a_flow() {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let state = parameter(&callback, "state");
        let mut statuses = Vec::new();
        for n in 0..12 {
            let junk = app.url(&format!("{CALLBACK}?code=junk{n}&state={state}"));
            statuses.push(browser.step(&junk).await.unwrap().status.as_u16());
        }
        assert_eq!(statuses, [400; 12]);
        assert_eq!(app.fake.requests_to("/oauth/access_token").len(), 3);
        assert!(store.loads.load(Ordering::SeqCst) <= 10, "{:?}", store.loads);
        assert_eq!(browser.cookies(HOST), [], "the flow's cookie is gone");
    }
}

mod c4_failed_logout {
    use super::*;

    #[tokio::test]
    async fn changes_nothing() {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        // The response is lost, so the browser keeps its flow cookie and gets no session cookie.
        browser.clone().step(&callback).await.unwrap();
        store.on_remove(OnRemove::Refuse);
        let left = browser.fetch(Method::POST, &app.url(LOGOUT)).await.unwrap();
        assert_eq!(left.status, StatusCode::SERVICE_UNAVAILABLE, "{}", left.text);
        store.on_remove(OnRemove::Remove);
        let page = browser.visit(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "the reload ends in the session: {}", page.text);
        let left = browser.fetch(Method::POST, &app.url(&format!("{LOGOUT}?revoke=true"))).await;
        assert_eq!(left.unwrap().status, StatusCode::NO_CONTENT);
        assert_eq!((store.rows().len(), app.fake.live_tokens()), (0, 0));
    }
}

mod c5_dead_tokens {
    use super::*;

    /// A handler that does not report Webflow's 401.
    async fn secretive(token: WebflowToken) -> &'static str {
        match token.api().sites().await {
            Ok(_) => "sites",
            Err(_) => "failed",
        }
    }

    #[tokio::test]
    async fn stay_dead_when_the_cache_entry_is_gone() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with_router(
            |builder| builder.store(kept).cache(CacheConfig::off()),
            |auth| Router::new().route("/x", get(secretive)).layer(auth.clone()),
        )
        .await;
        let mut browser = TestBrowser::new();
        assert_eq!(app.connect(&mut browser, "/x").await.text, "sites");
        app.fake.revoke_everything();
        assert_eq!(browser.visit(&app.url("/x")).await.unwrap().text, "failed");
        app.clock.advance(Duration::from_secs(6));
        assert_eq!(app.connect(&mut browser, "/x").await.text, "sites", "asked for a new grant");
    }
}

mod c7_two_forms_of_the_session_cookie {
    use super::*;

    #[tokio::test]
    async fn the_session_with_a_grant_counts() {
        let (app, _) = app().await;
        let old = app.connected().await;
        let mut browser = old.clone();
        let new = app.connect(&mut browser, LOGIN).await;
        assert_eq!(new.status, StatusCode::OK);
        // The browser sends both forms, the older one first.
        let both =
            format!("{}; {}", cookie_line(&old), cookie_line(&browser).replace("Cookie: ", ""));
        for lines in [both.clone(), both] {
            let answer = raw_get(&app, "/whoami", &[&lines, "Accept: application/json"]).await;
            assert_eq!(answer.status, 200, "{}", answer.head);
        }
    }
}

mod c8_two_tabs {
    use super::*;

    #[tokio::test]
    async fn that_come_back_together_end_in_one_session() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(|builder| builder.store(kept).grants(GrantPolicy::PerWorkspace)).await;
        let mut browser = TestBrowser::new();
        let workspaces = app.fake.workspaces();
        let mut callbacks = Vec::new();
        for workspace in workspaces.iter().take(2) {
            let login = browser.step(&app.url(LOGIN)).await.unwrap();
            let access = Access::Workspace(workspace.id().to_owned());
            let callback = app.fake.approve_with(login.location().unwrap(), access).unwrap();
            callbacks.push(callback.to_string());
        }
        let (mut one, mut two) = (browser.clone(), browser.clone());
        let (first, second) = tokio::join!(one.step(&callbacks[0]), two.step(&callbacks[1]));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
        let subject = async |tab: &mut TestBrowser| {
            tab.visit(&app.url("/whoami")).await.unwrap().json()["subject"].clone()
        };
        assert_eq!(subject(&mut one).await, subject(&mut two).await);
        assert_eq!(store.rows().len(), 2, "both workspaces");
        let url = app.url(&format!("{LOGOUT}?revoke=true"));
        let left = one.fetch(Method::POST, &url).await.unwrap();
        assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text);
        assert_eq!((store.rows().len(), app.fake.live_tokens()), (0, 0));
    }
}

mod c9_logout {
    use super::*;

    #[tokio::test]
    async fn ends_the_session_while_webflow_hangs() {
        let (app, _) = app().await;
        let mut browser = app.connected().await;
        app.fake.fail_always(Endpoint::Revoke, Fault::Hang);
        let mut other = browser.clone();
        let url = app.url(&format!("{LOGOUT}?revoke=true"));
        let leaves = browser.fetch(Method::POST, &url);
        let asks = async {
            app.fake.wait_for_requests("/oauth/revoke_authorization", 1).await;
            get_with(&app, &mut other, "/whoami", &[("accept", "application/json")]).await.status
        };
        tokio::select! {
            _ = leaves => panic!("Webflow hangs"),
            status = asks => assert_eq!(status, StatusCode::UNAUTHORIZED),
        }
    }
}

mod c11_two_instances {
    use super::*;

    #[tokio::test]
    async fn a_stale_entry_sends_nobody_to_webflow() {
        let (first, store) = app().await;
        let kept = store.clone();
        let ada = |_: &_| Some(Subject::user("ada"));
        let first = {
            drop(first);
            App::with(|b| b.store(kept.clone()).subject(ada)).await
        };
        let second = second_instance(&first, |b| b.store(kept.clone()).subject(ada)).await;
        // The second instance has just read that there is no grant.
        let mut browser = TestBrowser::new();
        let refused = get_with(&second, &mut browser, "/whoami", &[]).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let callback = first.callback(&mut browser, "/whoami").await;
        first_step(&mut browser, &callback).await;
        let landed = get_with(&second, &mut browser, "/whoami", &NAVIGATION).await;
        assert_eq!(landed.status, StatusCode::OK, "{}", landed.text);
    }

    async fn first_step(browser: &mut TestBrowser, callback: &str) {
        assert_eq!(browser.step(callback).await.unwrap().status, StatusCode::SEE_OTHER);
    }
}

mod c15_back_button {
    use super::*;

    #[tokio::test]
    async fn the_second_choice_counts() {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let challenge = browser.step(&app.url("/sites")).await.unwrap();
        let authorize = challenge.location().unwrap().to_string();
        let first = app.fake.approve(&authorize).unwrap().to_string();
        browser.step(&first).await.unwrap();
        // Back at the consent screen, the user makes another choice: another code with the same
        // state.
        let second = app.fake.approve(&authorize).unwrap().to_string();
        assert_ne!(first, second);
        let page = browser.step(&second).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!((app.fake.issued_tokens(), store.rows().len()), (2, 1));
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
        // Repeating the same code is a reload.
        browser.step(&second).await.unwrap();
        assert_eq!(app.fake.issued_tokens(), 2);
    }
}

mod c16_callback_at_another_path {
    use super::*;

    #[tokio::test]
    async fn is_an_error_that_says_so_instead_of_a_circle() {
        let (log, _capture) = logged();
        let (app, _) = app().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let moved = callback.replace(CALLBACK, "/deep/path");
        let page = browser.send(Method::GET, &moved, &headers(&NAVIGATION), None).await.unwrap();
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", page.text);
        assert!(page.text.contains("misplaced-callback"), "{}", page.text);
        assert!(log.text().contains("a callback arrived at another path"), "{}", log.text());
        // Without a flow in this browser it is an ordinary request.
        let mut stranger = TestBrowser::new();
        let other = get_with(&app, &mut stranger, "/sites?code=a&state=b", &NAVIGATION).await;
        assert_eq!(other.status, StatusCode::SEE_OTHER);
    }
}

mod c19_lagging_replica {
    use super::*;

    #[tokio::test]
    async fn a_dead_token_that_is_still_read_is_met_once() {
        let (app, store) = app().await;
        let mut browser = app.connected().await;
        store.removals_lag.store(true, Ordering::SeqCst);
        app.fake.revoke_everything();
        let mut rounds = 0;
        let mut url = app.url("/sites");
        while rounds < 30 {
            let page = browser.step(&url).await.unwrap();
            let location = page.location().expect("a redirect");
            if location.path() == "/oauth/authorize" {
                break;
            }
            rounds += 1;
            url = location.to_string();
        }
        assert!(rounds <= 1, "sent to the page {rounds} times");
    }
}

mod c20_hanging_resolver {
    use super::*;

    struct Hangs;

    impl SubjectResolver for Hangs {
        async fn resolve(
            &self,
            _: &axum::http::request::Parts,
        ) -> Result<Option<Subject>, Box<dyn std::error::Error + Send + Sync>> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn is_a_503_in_bounded_time() {
        let app = App::with(|builder| builder.subject_resolver(Hangs)).await;
        let started = Instant::now();
        let page = get_with(&app, &mut TestBrowser::new(), "/sites", &NAVIGATION).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}

mod c24_rejections {
    use super::*;

    #[tokio::test]
    async fn every_401_names_the_scheme() {
        let app = App::with_router(
            |builder| builder,
            |auth| {
                let token = |_: WebflowToken| async { "token" };
                Router::new().route("/x", get(token).options(token)).layer(auth.clone())
            },
        )
        .await;
        let mut browser = TestBrowser::new();
        for method in [Method::OPTIONS, Method::GET] {
            let page = browser.send(method, &app.url("/x"), &headers(&[]), None).await.unwrap();
            assert_eq!(page.status, StatusCode::UNAUTHORIZED);
            assert!(page.headers.contains_key("www-authenticate"), "{:?}", page.headers);
        }
    }
}

mod c25_newcomers {
    use super::*;
    use crate::support::hostile::OnLoad;

    #[tokio::test]
    async fn are_not_sent_to_webflow_while_the_store_is_down() {
        let (app, store) = app().await;
        let mut known = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        store.on_load(OnLoad::Refuse);
        let page = get_with(&app, &mut known, "/sites", &NAVIGATION).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        let newcomer = get_with(&app, &mut TestBrowser::new(), "/sites", &NAVIGATION).await;
        assert_eq!(newcomer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", newcomer.text);
        assert!(newcomer.set_cookies().is_empty());
        store.on_load(OnLoad::Answer);
        app.clock.advance(Duration::from_secs(6));
        let newcomer = get_with(&app, &mut TestBrowser::new(), "/sites", &NAVIGATION).await;
        assert_eq!(newcomer.status, StatusCode::SEE_OTHER);
    }
}

mod c26_frames {
    use super::*;

    #[tokio::test]
    async fn get_a_page_whose_link_opens_a_window() {
        let (app, _) = app().await;
        let framed = [NAVIGATION[0], NAVIGATION[1], ("sec-fetch-dest", "iframe")];
        let page = get_with(&app, &mut TestBrowser::new(), "/sites", &framed).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(page.set_cookies().is_empty());
        let link = "href=\"/auth/webflow/login?return_to=%2Fsites\" target=\"_blank\"";
        assert!(page.text.contains(link), "{}", page.text);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("frame-ancestors"), "it is shown in a frame: {policy}");
    }
}

mod c27_scopes_of_login_links {
    use super::*;

    #[tokio::test]
    async fn only_the_applications_own_are_asked_for() {
        let further = Scope::new("pages:read").unwrap();
        let app = App::with(|builder| builder.further_scopes([further])).await;
        for (scope, status) in [
            ("sites:read", 303),
            // Allowed by a layer with `require_scopes`, and by the builder.
            ("cms:write", 303),
            ("pages:read", 303),
            ("ecommerce:write", 400),
            ("cms:write+ecommerce:write", 400),
        ] {
            let answer = raw_get(&app, &format!("{LOGIN}?scope={scope}"), &[]).await;
            assert_eq!(answer.status, status, "{scope}: {}", answer.head);
        }
    }
}

mod p1_new_scopes {
    use super::*;

    #[tokio::test]
    async fn of_the_application_are_asked_for_once() {
        let store = TestStore::default();
        let kept = store.clone();
        let first = App::with(|b| b.store(kept.clone()).scopes([Scope::CMS_READ])).await;
        let mut browser = TestBrowser::new();
        first.connect(&mut browser, "/whoami").await;
        // The application is deployed with an additional scope.
        let again = second_instance(&first, |b| {
            b.store(kept.clone()).scopes([Scope::CMS_READ, Scope::SITES_READ])
        })
        .await;
        let asked = get_with(&again, &mut browser, "/whoami", &NAVIGATION).await;
        let authorize = asked.location().expect("a redirect to Webflow").to_string();
        assert!(authorize.contains("sites%3Aread"), "{authorize}");
        // The user declines: Webflow grants no more than before.
        let narrow = serde_json::json!({"access_token": "t", "scope": "cms:read"});
        first.fake.fail_next(Endpoint::Token, Fault::json(200, &narrow));
        let callback = first.fake.approve(&authorize).unwrap().to_string();
        let there = callback.replace(&first.address.to_string(), &again.address.to_string());
        assert_eq!(browser.step(&there).await.unwrap().status, StatusCode::SEE_OTHER);
        let admitted = get_with(&again, &mut browser, "/whoami", &NAVIGATION).await;
        assert_eq!(admitted.status, StatusCode::OK, "declined, and not asked again");
    }
}

mod p7_other_host {
    use super::*;

    #[tokio::test]
    async fn is_logged_once_and_named_on_the_page() {
        let (log, _capture) = logged();
        let (app, _) = app().await;
        let port = app.address.port();
        for _ in 0..2 {
            let host = format!("Host: localhost:{port}");
            let request = format!(
                "GET /sites HTTP/1.1\r\n{host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
            );
            let answer = crate::support::hostile::raw(&app, request).await;
            assert_eq!(answer.status, 303, "{}", answer.head);
        }
        assert_eq!(log.text().matches("opened at another host").count(), 1, "{}", log.text());
        let page =
            raw_get(&app, &format!("{CALLBACK}?code=a&state=b"), &["Accept: text/html"]).await;
        assert!(page.body.contains("another name of this machine"), "{}", page.body);
    }
}

mod p10_login_url_of_a_fetch {
    use super::*;

    #[tokio::test]
    async fn returns_to_the_page() {
        let (app, _) = app().await;
        let origin = app.url("");
        let page = format!("{origin}/dashboard?tab=1");
        for (referer, return_to) in [
            (Some(page.as_str()), "%2Fdashboard%3Ftab%3D1"),
            (Some("https://evil.example/x"), "%2F"),
            (None, "%2F"),
        ] {
            let mut given = vec![("sec-fetch-mode", "cors"), ("accept", "application/json")];
            given.extend(referer.map(|referer| ("referer", referer)));
            let refused = get_with(&app, &mut TestBrowser::new(), "/sites", &given).await;
            let login_url = format!("/auth/webflow/login?return_to={return_to}");
            assert_eq!(refused.json()["login_url"], login_url, "{referer:?}");
        }
    }
}

#[tokio::test]
async fn c12_without_introspection_requests_take_the_fast_path() {
    let store = TestStore::default();
    let kept = store.clone();
    let app = App::with_router(|b| b.store(kept).introspect(false), router).await;
    let mut browser = app.connected().await;
    browser.visit(&app.url("/whoami")).await.unwrap();
    let loads = store.loads.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(store.loads.load(Ordering::SeqCst), loads);
    assert!(app.fake.requests_to("/v2/token/introspect").is_empty());
}

//! Attacks on the state of a flow: group S of the threat model.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Method, StatusCode};
use tower_webflow_auth::testing::{Access, Page, TestBrowser};
use tower_webflow_auth::{Clock, Next, Subject};

use crate::support::App;
use crate::support::hostile::{
    CALLBACK, HOST, LOGIN, LOGOUT, assert_no_exchange, begin, cookie_line, cookies_set, headers,
    parameter, raw_get, raw_request, second_instance,
};

/// Asserts a refusal: no code used, no cookie set, nothing stored.
fn assert_refused(app: &App, page: &Page) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
    assert!(app.fake.requests_to("/oauth/access_token").is_empty(), "a code was used");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert!(page.text.contains("login"), "a way to try again: {}", page.text);
}

fn query_of(callback: &str) -> String {
    callback.split_once('?').unwrap().1.to_owned()
}

mod s2 {
    use super::*;

    #[tokio::test]
    async fn unknown_state_is_refused() {
        let app = App::start().await;
        let unknown = app.url("/auth/webflow/callback?code=abc&state=unknown");
        assert_refused(&app, &TestBrowser::new().visit(&unknown).await.unwrap());
        let empty = app.url("/auth/webflow/callback?code=abc&state=");
        assert_refused(&app, &TestBrowser::new().visit(&empty).await.unwrap());
        let mut connected = app.connected().await;
        let page = connected.visit(&unknown).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert_eq!(connected.visit(&app.url("/")).await.unwrap().text, "connected");
    }
}

mod s3 {
    use super::*;

    #[tokio::test]
    async fn callback_in_another_browser_is_refused() {
        let app = App::start().await;
        let mut attacker = TestBrowser::new();
        let callback = app.callback(&mut attacker, "/sites").await;
        let mut victim = TestBrowser::new();
        assert_refused(&app, &victim.visit(&callback).await.unwrap());
        app.callback(&mut victim, "/sites").await;
        let page = victim.visit(&callback).await.unwrap();
        assert_refused(&app, &page);
        assert_eq!(victim.visit(&app.url("/")).await.unwrap().text, "not connected");
    }

    #[tokio::test]
    async fn connected_victim_does_not_receive_the_attackers_grant() {
        let app = App::start().await;
        let mut victim = app.connected().await;
        let whoami = app.url("/whoami");
        let before = victim.visit(&whoami).await.unwrap().text;
        let mut attacker = TestBrowser::new();
        let callback = app.callback(&mut attacker, "/sites").await;
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let page = victim.send(method, &callback, &HeaderMap::new(), None).await.unwrap();
            assert!(page.set_cookies().is_empty());
        }
        assert_eq!(victim.visit(&whoami).await.unwrap().text, before);
        assert_eq!(app.fake.issued_tokens(), 1, "the attacker's code was not used");
        // Nor after the attacker has completed the flow, so that a grant records it.
        attacker.step(&callback).await.unwrap();
        let page = victim.step(&callback).await.unwrap();
        assert_refused_later(&page);
        assert_eq!(victim.visit(&whoami).await.unwrap().text, before);
    }
}

mod s5 {
    use super::*;

    #[tokio::test]
    async fn expired_flow_is_reported() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        app.clock.advance(Duration::from_secs(15 * 60));
        let page = browser.visit(&callback).await.unwrap();
        assert_refused(&app, &page);
        assert!(page.text.contains("flow-expired"), "{}", page.text);
    }

    #[tokio::test]
    async fn flow_from_the_future_is_accepted_within_a_minute() {
        for (behind, taken) in [(59, true), (60, true), (61, false), (86_400, false)] {
            let ahead = App::start().await;
            let now = ahead.clock.now();
            let slow = second_instance(&ahead, |builder| {
                builder.clock(Clock::manual(now - Duration::from_secs(behind)))
            })
            .await;
            let mut browser = TestBrowser::new();
            let callback = ahead.callback(&mut browser, "/sites").await;
            let target = callback.strip_prefix(&ahead.url("")).unwrap();
            let page = browser.step(&slow.url(target)).await.unwrap();
            if taken {
                assert_eq!(page.status, StatusCode::SEE_OTHER, "{behind} s behind");
            } else {
                assert_refused(&ahead, &page);
                assert!(page.text.contains("flow-expired"), "{}", page.text);
            }
        }
    }

    #[tokio::test]
    async fn extreme_clocks_neither_extend_flows_nor_panic() {
        for now in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 43)] {
            let app =
                App::with(|builder| builder.clock(Clock::manual(now)).flow_lifetime(Duration::MAX))
                    .await;
            let mut browser = TestBrowser::new();
            let page = app.connect(&mut browser, "/whoami").await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        }
    }
}

mod s6_s7 {
    use super::*;

    #[tokio::test]
    async fn renamed_or_modified_flow_cookie_is_ignored() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let first = app.callback(&mut browser, "/sites").await;
        let (name_a, value_a) = browser.cookies(HOST)[0].clone();
        let second = app.callback(&mut browser, "/sites").await;
        let cookies = browser.cookies(HOST);
        let (name_b, _) = cookies.iter().find(|(name, _)| *name != name_a).unwrap();

        let mut renamed = browser.clone();
        renamed.set_cookie(HOST, name_b, &value_a);
        assert_refused(&app, &renamed.visit(&second).await.unwrap());
        for changed in [
            String::new(),
            value_a[1..].to_owned(),
            format!("{value_a}A"),
            format!("{value_a}="),
            format!("\"{value_a}\""),
            value_a.replace('-', "+").replace('_', "/") + "+",
            "A".repeat(5000),
            "%00%ff".to_owned(),
        ] {
            let mut browser = browser.clone();
            browser.set_cookie(HOST, &name_a, &changed);
            assert_refused(&app, &browser.visit(&first).await.unwrap());
        }
    }
}

mod s7 {
    use super::*;

    #[tokio::test]
    async fn modified_session_cookie_is_ignored() {
        let app = App::start().await;
        let browser = app.connected().await;
        let (name, value) = browser.cookies(HOST)[0].clone();
        let mut changed = vec![String::new(), format!("{value}A"), value[1..].to_owned()];
        for i in (0..value.len()).step_by(7) {
            let other = if &value[i..=i] == "A" { "B" } else { "A" };
            changed.push(format!("{}{other}{}", &value[..i], &value[i + 1..]));
        }
        for changed in changed {
            let mut browser = browser.clone();
            browser.set_cookie(HOST, &name, &changed);
            let page = browser.visit(&app.url("/")).await.unwrap();
            assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "not connected"));
        }
    }
}

mod s12 {
    use super::*;

    #[tokio::test]
    async fn repeated_parameter_is_refused() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let query = query_of(&app.callback(&mut browser, "/sites").await);
        for doubled in ["&code=x", "&state=x", "&%63ode=x", "&error=a&error=b", "&st%61te=x"] {
            let url = app.url(&format!("/auth/webflow/callback?{query}{doubled}"));
            assert_refused(&app, &browser.clone().visit(&url).await.unwrap());
        }
    }

    #[tokio::test]
    async fn parameters_are_parsed_strictly() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let state = begin(&app, &mut browser, "/sites").await;
        for query in [
            format!("Code=x&state={state}"),
            format!("CODE=x&STATE={state}"),
            format!("code%00=x&state={state}"),
            format!("code[]=x&state={state}"),
            format!("code%5B0%5D=x&state={state}"),
            format!(" code=x&state={state}").replace(' ', "%20"),
            format!("code=x&State={state}&state="),
            format!("code=x&code&state={state}"),
            format!("code=x&state={state}&state"),
            format!("code=x&state={state}&error&error"),
            format!("code=x&state={state}%20"),
            format!("code=x&state=+{state}"),
            format!("code=x&state={state}%00"),
            format!("code=x&state={}", state.to_lowercase()),
            format!("code=x&state={state}="),
            format!("code=x&state={}", "A".repeat(30_000)),
        ] {
            let page =
                browser.clone().step(&app.url(&format!("{CALLBACK}?{query}"))).await.unwrap();
            assert_refused(&app, &page);
        }
        // A semicolon is not a separator, so this callback has no state and starts a new flow.
        let page =
            browser.step(&app.url(&format!("{CALLBACK}?code=x;state={state}"))).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert_no_exchange(&app);
    }
}

mod s13 {
    use super::*;

    #[tokio::test]
    async fn malformed_code_is_not_sent_to_webflow() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let query = query_of(&app.callback(&mut browser, "/sites").await);
        let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
        let long = "x".repeat(4097);
        for code in ["", "&x=1", "%ff%fe", "a%00b", "a%0d%0ab", "%1b", &long] {
            let url = app.url(&format!("/auth/webflow/callback?{state}&code={code}"));
            assert_refused(&app, &browser.clone().visit(&url).await.unwrap());
        }
        let none = app.url(&format!("/auth/webflow/callback?{state}"));
        assert_refused(&app, &browser.visit(&none).await.unwrap());
        assert_refused(&app, &browser.visit(&app.url("/auth/webflow/callback")).await.unwrap());
    }

    #[tokio::test]
    async fn malformed_state_is_a_400() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        begin(&app, &mut browser, "/sites").await;
        for state in ["%ff", "%00", "%0d%0a", "../../x", "%F0%9F%A6%80", "__proto__", "null", "%"] {
            for rest in ["&code=x", "&error=access_denied", ""] {
                let target = app.url(&format!("{CALLBACK}?state={state}{rest}"));
                let page = browser.clone().step(&target).await.unwrap();
                assert_refused(&app, &page);
            }
        }
    }
}

mod s14 {
    use super::*;

    #[tokio::test]
    async fn other_methods_and_prefetches_change_nothing() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let page = browser.send(method, &callback, &HeaderMap::new(), None).await.unwrap();
            assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(page.headers["allow"], "GET, HEAD");
        }
        let head = browser.send(Method::HEAD, &callback, &HeaderMap::new(), None).await.unwrap();
        assert!(head.status.is_success() && head.set_cookies().is_empty());
        for (name, value) in
            [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let page = browser.send(Method::GET, &callback, &headers, None).await.unwrap();
            assert!(page.status.is_client_error() && page.set_cookies().is_empty());
        }
        assert!(app.fake.requests_to("/oauth/access_token").is_empty());
        assert_eq!(browser.visit(&callback).await.unwrap().path(), "/sites", "it still works");
    }
}

mod s15 {
    use super::*;

    #[tokio::test]
    async fn error_response_text_is_not_shown() {
        let app = App::start().await;
        for (error, status) in [
            ("access_denied", StatusCode::FORBIDDEN),
            ("server_error", StatusCode::BAD_REQUEST),
            ("%3Cscript%3Ealert(1)%3C/script%3E", StatusCode::BAD_REQUEST),
        ] {
            let path = format!(
                "/auth/webflow/callback?error={error}&error_description=%3Cb%3Emarkup%3C/b%3E\
                 &error_uri=https://evil.example/"
            );
            let mut browser = TestBrowser::new();
            let page = browser.visit(&app.url(&path)).await.unwrap();
            assert_eq!(page.status, status, "{}", page.text);
            let problem = browser.fetch(Method::GET, &app.url(&path)).await.unwrap();
            assert_eq!(problem.headers["content-type"], "application/problem+json");
            for text in [&page.text, &problem.text] {
                for shown in ["markup", "evil", "alert", "<b>"] {
                    assert!(!text.contains(shown), "{shown} in {text}");
                }
            }
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'")
            );
            assert_eq!(page.headers["x-content-type-options"], "nosniff");
        }
        let unknown = app.url("/auth/webflow/callback?error=access_denied&state=unknown");
        let page = TestBrowser::new().visit(&unknown).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "a state that is not ours");
    }
}

mod s17 {
    use super::*;

    #[tokio::test]
    async fn planted_session_is_replaced_at_login() {
        let app = App::start().await;
        let attacker = app.connected().await;
        let (name, planted) = attacker.cookies(HOST)[0].clone();
        let mut victim = TestBrowser::new();
        victim.set_cookie(HOST, &name, &planted);
        let page = app.connect(&mut victim, "/auth/webflow/login").await;
        assert_eq!(page.status, StatusCode::OK);
        assert_ne!(victim.cookies(HOST)[0].1, planted);
        let mut attacker = attacker;
        let page = attacker.visit(&app.url("/")).await.unwrap();
        assert_eq!(page.text, "not connected", "the planted session has ended");
    }

    #[tokio::test]
    async fn every_login_gets_a_new_session_and_state() {
        let app = App::start().await;
        let (mut states, mut sessions) = (Vec::new(), Vec::new());
        let mut browser = TestBrowser::new();
        for _ in 0..5 {
            let callback = app.callback(&mut browser, LOGIN).await;
            states.push(parameter(&callback, "state"));
            browser.step(&callback).await.unwrap();
            let whoami = browser.visit(&app.url("/whoami")).await.unwrap();
            sessions.push(whoami.json()["subject"].as_str().unwrap().to_owned());
        }
        for mut seen in [states, sessions] {
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 5);
        }
    }

    #[tokio::test]
    async fn planted_flow_cookie_does_not_fix_the_session() {
        let app = App::start().await;
        let mut attacker = TestBrowser::new();
        begin(&app, &mut attacker, "/sites").await;
        let (name, value) = attacker.cookies(HOST)[0].clone();
        let mut victim = TestBrowser::new();
        victim.set_cookie(HOST, &name, &value);
        let page = app.connect(&mut victim, "/whoami").await;
        let victims = page.json()["subject"].clone();
        // The attacker's flow ends in a separate session.
        let callback = app.callback(&mut attacker, LOGIN).await;
        attacker.step(&callback).await.unwrap();
        let attackers =
            attacker.visit(&app.url("/whoami")).await.unwrap().json()["subject"].clone();
        assert_ne!(victims, attackers);
    }
}

#[tokio::test]
async fn callback_after_logout_does_not_log_in() {
    let app = App::start().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    browser.visit(&callback).await.unwrap();
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    let page = browser.visit(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");

    // A logout also ends the browser's open flows.
    let open = app.callback(&mut browser, "/sites").await;
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(browser.visit(&open).await.unwrap().status, StatusCode::BAD_REQUEST);
}

/// An application whose user is named by a request header.
async fn with_users() -> App {
    App::with(|builder| {
        builder.subject(|parts| {
            let user = parts.headers.get("x-user")?.to_str().ok()?;
            Some(Subject::user(user))
        })
    })
    .await
}

async fn as_user(browser: &mut TestBrowser, user: &str, url: &str) -> Page {
    let given =
        headers(&[("x-user", user), ("sec-fetch-mode", "navigate"), ("accept", "text/html")]);
    browser.send(Method::GET, url, &given, None).await.unwrap()
}

mod s1 {
    use super::*;

    #[tokio::test]
    async fn code_without_state_starts_nothing_without_navigation() {
        let app = App::start().await;
        let target = format!("{CALLBACK}?code=x");
        for (method, line, status) in [
            ("GET", "Sec-Fetch-Mode: cors", 401),
            ("GET", "Sec-Fetch-Mode: no-cors", 401),
            ("GET", "HX-Request: true", 401),
            ("GET", "Sec-Purpose: prefetch", 403),
            ("HEAD", "Sec-Fetch-Mode: navigate", 200),
            ("POST", "Sec-Fetch-Mode: navigate", 405),
        ] {
            let answer = raw_request(&app, method, &target, &[line, "Content-Length: 0"]).await;
            assert_eq!(answer.status, status, "{method} {line}");
            assert!(answer.headers("set-cookie").is_empty(), "{method} {line}");
        }
        assert_no_exchange(&app);
    }

    #[tokio::test]
    async fn code_without_state_starts_one_flow_while_it_is_open() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let install = app.url(&format!("{CALLBACK}?code=x"));
        assert_eq!(browser.step(&install).await.unwrap().status, StatusCode::SEE_OTHER);
        for passed in [0, 60, 600, 899 - 660] {
            app.clock.advance(Duration::from_secs(passed));
            assert_refused(&app, &browser.step(&install).await.unwrap());
        }
        app.clock.advance(Duration::from_secs(1));
        let page = browser.step(&install).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "that flow is over, another may begin");
        assert_eq!(browser.cookies(HOST).len(), 1, "and takes its place");
    }
}

/// Asserts a refusal after codes of others were used.
fn assert_refused_later(page: &Page) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
}

mod s4 {
    use super::*;

    #[tokio::test]
    async fn flow_of_a_signed_out_user_is_not_completed() {
        let app = with_users().await;
        let mut browser = TestBrowser::new();
        let challenge = as_user(&mut browser, "ada", &app.url("/sites")).await;
        let callback = app.fake.approve(challenge.location().unwrap()).unwrap();
        let nobody = browser.step(callback.as_str()).await.unwrap();
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        let bob = as_user(&mut browser, "bob", callback.as_str()).await;
        assert_refused(&app, &bob);
        // The digest of the whole name is compared, without case folding.
        for user in ["Ada", "ADA", "ad", "adaa", "session:ada"] {
            assert_refused(&app, &as_user(&mut browser, user, callback.as_str()).await);
        }
        let ada = as_user(&mut browser, "ada", callback.as_str()).await;
        assert_eq!(ada.status, StatusCode::SEE_OTHER, "hers it is, still");
    }

    #[tokio::test]
    async fn error_for_another_users_flow_is_refused() {
        let app = with_users().await;
        let mut browser = TestBrowser::new();
        let url = app.url("/sites?draft=adas-secret-plan");
        let challenge = as_user(&mut browser, "ada", &url).await;
        let denied = app.fake.deny(challenge.location().unwrap()).unwrap();
        let bob = as_user(&mut browser, "bob", denied.as_str()).await;
        assert!(!bob.text.contains("adas-secret-plan"), "{}", bob.text);
        assert_refused(&app, &bob);
    }

    #[tokio::test]
    async fn flow_of_another_subject_kind_is_refused() {
        let sessions = App::start().await;
        let users = second_instance(&sessions, |builder| {
            builder.subject(|_| Some(Subject::user("ada"))).clock(sessions.clock.clone())
        })
        .await;
        let mut browser = TestBrowser::new();
        let callback = sessions.callback(&mut browser, "/sites").await;
        let target = callback.strip_prefix(&sessions.url("")).unwrap();
        assert_refused(&sessions, &browser.step(&users.url(target)).await.unwrap());

        let mut browser = TestBrowser::new();
        let challenge = browser.step(&users.url("/sites")).await.unwrap();
        let callback = sessions.fake.approve(challenge.location().unwrap()).unwrap();
        assert_refused(&sessions, &browser.step(callback.as_str()).await.unwrap());
    }
}

mod s8 {
    use super::*;

    #[tokio::test]
    async fn callback_of_an_earlier_login_restores_no_session() {
        let app = App::start().await;
        let mut browser = TestBrowser::new();
        let first = app.callback(&mut browser, LOGIN).await;
        browser.step(&first).await.unwrap();
        let second = app.callback(&mut browser, LOGIN).await;
        browser.step(&second).await.unwrap();
        let session = browser.cookies(HOST);
        for callback in [&first, &second] {
            let page = browser.step(callback).await.unwrap();
            assert_eq!(page.headers["location"], "/");
            assert!(page.set_cookies().is_empty());
        }
        assert_eq!(browser.cookies(HOST), session);
        assert_eq!(app.fake.issued_tokens(), 2);
        browser.submit(&app.url(LOGOUT)).await.unwrap();
        for callback in [&first, &second] {
            assert_refused_later(&browser.step(callback).await.unwrap());
        }
    }
}

mod s9 {
    use super::*;

    #[tokio::test]
    async fn twenty_parallel_callbacks_make_one_exchange() {
        let heard = Arc::new(Mutex::new(0));
        let app = App::with({
            let heard = Arc::clone(&heard);
            |builder| {
                builder.on_authorized(move |_| {
                    *heard.lock().unwrap() += 1;
                    std::future::ready(Ok(Next::Continue))
                })
            }
        })
        .await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        let state = parameter(&callback, "state");
        let target = callback.strip_prefix(&app.url("")).unwrap();
        let other_code = format!("{CALLBACK}?code=another&state={state}");
        let cookies = cookie_line(&browser);
        let line = [cookies.as_str(), "Sec-Fetch-Mode: navigate"];
        let first = raw_get(&app, target, &line);
        let rest =
            (1..20).map(|i| raw_get(&app, if i % 2 == 0 { target } else { &other_code }, &line));
        let (first, rest) = futures::join!(first, futures::future::join_all(rest));
        assert_eq!(app.fake.requests_to("/oauth/access_token").len(), 1);
        assert_eq!(*heard.lock().unwrap(), 1);
        let mut subjects = Vec::new();
        for answer in rest.iter().chain([&first]) {
            assert_eq!((answer.status, answer.header("location")), (303, Some("/sites")));
            let mut browser = TestBrowser::new();
            for (name, value) in cookies_set(answer.headers("set-cookie")) {
                browser.set_cookie(HOST, &name, &value);
            }
            subjects
                .push(browser.visit(&app.url("/whoami")).await.unwrap().json()["subject"].clone());
        }
        subjects.dedup();
        assert_eq!(subjects.len(), 1);
    }
}

mod s10 {
    use super::*;

    #[tokio::test]
    async fn injected_code_is_reported_to_the_application() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = App::with({
            let seen = Arc::clone(&seen);
            |builder| {
                builder.on_authorized(move |new| {
                    let sites = new.token().sites().to_vec();
                    seen.lock().unwrap().push((sites, new.is_first()));
                    std::future::ready(Ok(Next::Continue))
                })
            }
        })
        .await;
        let site = app.fake.workspaces()[1].sites()[0].id().to_owned();
        let mut attacker = TestBrowser::new();
        let challenge = attacker.step(&app.url("/sites")).await.unwrap();
        let access = Access::Sites(vec![site.clone()]);
        let injected = app.fake.approve_with(challenge.location().unwrap(), access).unwrap();
        let code = parameter(injected.as_str(), "code");

        let mut victim = TestBrowser::new();
        let state = begin(&app, &mut victim, "/sites").await;
        let target = format!("{CALLBACK}?code={code}&state={state}");
        let page = victim.step(&app.url(&target)).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "it cannot be told apart without PKCE");
        assert_eq!(
            *seen.lock().unwrap(),
            [(vec![site], true)],
            "but it is told what was connected"
        );
    }
}

mod s11 {
    use super::*;

    #[tokio::test]
    async fn newest_eight_tabs_remain_after_the_first_callback() {
        let app = App::start().await;
        // None has the others' cookies when it starts, so no response can remove them.
        let mut browser = TestBrowser::new();
        let callbacks = futures::future::join_all((0..30).map(|_| async {
            let mut tab = TestBrowser::new();
            let callback = app.callback(&mut tab, "/sites").await;
            (callback, tab.cookies(HOST).remove(0))
        }));
        let callbacks = callbacks.await;
        for (_, (name, value)) in &callbacks {
            browser.set_cookie(HOST, name, value);
        }
        assert!(cookie_line(&browser).len() > 8 * 1024);
        let page = browser.step(&callbacks[29].0).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let page = browser.step(&app.url("/auth/webflow/login")).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let line = cookie_line(&browser);
        let flows = line.split("; ").filter(|cookie| cookie.contains("-flow-")).count();
        assert!(flows <= 8 && line.len() <= 8 * 1024, "{flows} flows, {} bytes", line.len());
    }
}

mod s16 {
    use super::*;

    #[tokio::test]
    async fn every_foreign_state_gets_the_same_message() {
        let app = App::start().await;
        let mut other = TestBrowser::new();
        let others = begin(&app, &mut other, "/sites").await;
        let mut browser = TestBrowser::new();
        let own = begin(&app, &mut browser, "/sites").await;
        let (name, value) = browser.cookies(HOST)[0].clone();
        let mut tampered = browser.clone();
        tampered.set_cookie(HOST, &name, &format!("{value}A"));
        let mut planted = browser.clone();
        planted.set_cookie(HOST, &name, &other.cookies(HOST)[0].1);
        let refusals = [
            (browser.clone(), "random".to_owned()),
            (browser.clone(), String::new()),
            (browser.clone(), others),
            (browser, format!("{own}A")),
            (TestBrowser::new(), own.clone()),
            (tampered, own.clone()),
            (planted, own),
        ];
        for accept in ["text/html", "application/json"] {
            let mut answers = Vec::new();
            for (browser, state) in &refusals {
                let target = app.url(&format!("{CALLBACK}?code=x&state={state}"));
                let given = headers(&[("accept", accept)]);
                let mut browser = browser.clone();
                let page = browser.send(Method::GET, &target, &given, None).await.unwrap();
                assert_refused(&app, &page);
                let mut shown = page.headers.clone();
                shown.remove("date");
                answers.push((page.status, format!("{shown:?}"), page.text));
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{answers:#?}");
        }
    }
}

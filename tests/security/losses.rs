//! Grants are neither lost nor resurrected when they are written, looked up, logged out and revoked
//! concurrently, with clients that disconnect and stores that lose acknowledgements.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tower_webflow_auth::testing::{Access, Endpoint, Fault, TestBrowser};
use tower_webflow_auth::{GrantPolicy, Subject};

use crate::support::App;
use crate::support::hostile::{
    CALLBACK, HOST, LOGIN, LOGOUT, OnRemove, OnSave, TestStore, call_from, eventually, parameter,
    second_instance, settle, waits,
};

const REVOKE: &str = "/oauth/revoke_authorization";

/// Webflow's delay, long enough for the client to disconnect.
const UNDER_WAY: Fault = Fault::Delay(Duration::from_millis(500));

async fn app() -> (App, TestStore) {
    let store = TestStore::default();
    let kept = store.clone();
    (App::with(|builder| builder.store(kept)).await, store)
}

/// A copy of the browser's cookies, as a second tab sends them.
fn tab(browser: &TestBrowser) -> TestBrowser {
    browser.clone()
}

async fn is_connected(app: &App, browser: &TestBrowser) -> bool {
    app.clock.advance(Duration::from_secs(60));
    tab(browser).visit(&app.url("/")).await.unwrap().text == "connected"
}

#[tokio::test]
async fn background_lookup_does_not_restore_a_logged_out_grant() {
    let (app, store) = app().await;
    app.fake.fail_next(Endpoint::Introspect, Fault::Status(500));
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/whoami").await;
    browser.step(&callback).await.unwrap();
    store.on_save(OnSave::Gate);
    browser.visit(&app.url("/whoami")).await.unwrap();
    eventually("the look-up is about to be written", || store.saves.load(Ordering::SeqCst) == 2)
        .await;
    let mut logout = pin!(call_from(&browser, &app, "POST", LOGOUT));
    assert!(waits(logout.as_mut()).await, "for the write");
    store.open_gate();
    assert_eq!(logout.await.status, StatusCode::NO_CONTENT);
    eventually("the look-up is over", || store.saved.load(Ordering::SeqCst) == 2).await;
    assert_eq!(store.rows(), [], "the grant was logged out");
}

#[tokio::test]
async fn logout_waits_for_a_running_callback_and_ends_its_grant() {
    for (query, live) in [("", 1), ("?revoke=true", 0)] {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Gate);
        let mut arriving = tab(&browser);
        let coming = arriving.step(&callback);
        let leaves = async {
            eventually("a write", || store.saves.load(Ordering::SeqCst) == 1).await;
            let target = format!("{LOGOUT}{query}");
            let mut logout = pin!(call_from(&browser, &app, "POST", &target));
            assert!(waits(logout.as_mut()).await, "for the write");
            store.open_gate();
            logout.await
        };
        let (arrived, left) = tokio::join!(coming, leaves);
        assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text);
        assert_eq!(store.rows(), [], "what the callback brought has ended");
        assert_eq!(app.fake.live_tokens(), live);
        let arrived = arrived.unwrap();
        assert_eq!(arrived.status, StatusCode::BAD_REQUEST, "{}", arrived.text);
        assert!(!is_connected(&app, &arriving).await);
        assert!(!is_connected(&app, &browser).await);
    }
}

#[tokio::test]
async fn logout_ends_the_session_of_a_lost_callback_response() {
    let (app, store) = app().await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    // The response, with the session cookie, never reaches the browser.
    tab(&browser).step(&callback).await.unwrap();
    assert_eq!(store.rows().len(), 1);
    let mut late = tab(&browser);
    let page = browser.fetch(Method::POST, &app.url(&format!("{LOGOUT}?revoke=true"))).await;
    assert_eq!(page.unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!((store.rows(), app.fake.live_tokens()), (vec![], 0));
    assert_eq!(browser.cookies(HOST), []);
    let repeated = late.step(&callback).await.unwrap();
    assert_eq!(repeated.status, StatusCode::BAD_REQUEST, "{}", repeated.text);
    assert!(!is_connected(&app, &late).await);
}

#[tokio::test]
async fn logout_at_another_instance_ends_the_session_of_a_lost_response() {
    let (first, store) = app().await;
    let kept = store.clone();
    let second = second_instance(&first, |builder| builder.store(kept)).await;
    let mut browser = TestBrowser::new();
    let callback = first.callback(&mut browser, "/sites").await;
    tab(&browser).step(&callback).await.unwrap();
    browser.fetch(Method::POST, &second.url(LOGOUT)).await.unwrap();
    assert_eq!(store.rows(), []);
}

#[tokio::test]
async fn flow_open_at_logout_cannot_log_in_later() {
    let (app, store) = app().await;
    let mut browser = app.connected().await;
    let callback = app.callback(&mut browser, LOGIN).await;
    let mut late = tab(&browser);
    browser.submit(&app.url(LOGOUT)).await.unwrap();
    let page = late.step(&callback).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert_eq!((store.rows(), app.fake.issued_tokens()), (vec![], 1), "its code was not used");
    // Nothing prevents the browser from starting over.
    assert_eq!(app.connect(&mut browser, "/sites").await.status, StatusCode::OK);
}

#[tokio::test]
async fn logout_of_a_user_waits_for_a_running_callback() {
    let store = TestStore::default();
    let kept = store.clone();
    let app =
        App::with(|builder| builder.store(kept).subject(|_| Some(Subject::user("ada")))).await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    store.on_save(OnSave::Gate);
    let mut arriving = tab(&browser);
    let coming = arriving.step(&callback);
    let leaves = async {
        eventually("a write", || store.saves.load(Ordering::SeqCst) == 1).await;
        let mut logout = pin!(call_from(&browser, &app, "POST", LOGOUT));
        assert!(waits(logout.as_mut()).await, "for the write");
        store.open_gate();
        logout.await
    };
    let (_, left) = tokio::join!(coming, leaves);
    assert_eq!((left.status, store.rows()), (StatusCode::NO_CONTENT, vec![]));
}

mod n6 {
    use super::*;

    #[tokio::test]
    async fn logout_completes_after_a_disconnect() {
        let (app, store) = app().await;
        let browser = app.connected().await;
        app.fake.fail_next(Endpoint::Revoke, UNDER_WAY);
        let url = app.url(&format!("{LOGOUT}?revoke=true"));
        let mut impatient = tab(&browser);
        tokio::select! {
            answer = impatient.fetch(Method::POST, &url) => panic!("too late to hang up: {answer:?}"),
            () = app.fake.wait_for_requests(REVOKE, 1) => {}
        }
        eventually("Webflow is told", || app.fake.live_tokens() == 0).await;
        eventually("the grant is gone", || store.rows().is_empty()).await;
        assert!(!is_connected(&app, &browser).await);
    }

    #[tokio::test]
    async fn revocation_completes_after_the_job_is_aborted() {
        let (app, store) = app().await;
        app.connected().await;
        let subject = store.rows()[0].key().subject().clone();
        let handle = app.auth.handle();
        app.fake.fail_next(Endpoint::Revoke, UNDER_WAY);
        tokio::select! {
            done = handle.revoke(&subject) => panic!("too late to abort it: {done:?}"),
            () = app.fake.wait_for_requests(REVOKE, 1) => {}
        }
        eventually("Webflow is told", || app.fake.live_tokens() == 0).await;
        eventually("the grant is gone", || store.rows().is_empty()).await;
    }

    #[tokio::test]
    async fn removal_completes_after_a_disconnect() {
        let (app, store) = app().await;
        let browser = app.connected().await;
        app.fake.revoke_everything();
        store.on_remove(OnRemove::Gate);
        tokio::select! {
            answer = call_from(&browser, &app, "GET", "/sites") => panic!("no hang-up: {answer:?}"),
            () = eventually("a removal", || store.removals.load(Ordering::SeqCst) == 1) => {}
        }
        settle().await;
        store.open_gate();
        eventually("the grant is gone", || store.rows().is_empty()).await;
        assert_eq!(store.writes_dropped.load(Ordering::SeqCst), 0);
        assert!(!is_connected(&app, &browser).await);
    }
}

mod n5 {
    use super::*;

    #[tokio::test]
    async fn grant_with_lost_acknowledgements_is_removed() {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::KeepAndFail);
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert_eq!(store.versions().len(), 1, "every attempt writes the same row");
        assert_eq!(app.fake.live_tokens(), 0);
        eventually("the row is gone", || store.rows().is_empty()).await;
    }

    #[tokio::test]
    async fn write_that_succeeds_after_its_timeout_is_removed() {
        let store = TestStore::default();
        let kept = store.clone();
        let app =
            App::with(|builder| builder.store(kept).store_timeout(Duration::from_millis(50))).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        store.on_save(OnSave::Gate);
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert_eq!(app.fake.live_tokens(), 0);
        for _ in 0..3 {
            store.open_gate();
        }
        eventually("the writes are over", || store.saved.load(Ordering::SeqCst) == 3).await;
        eventually("the row is gone", || store.rows().is_empty()).await;
        assert_eq!(store.writes_dropped.load(Ordering::SeqCst), 0);
        assert_eq!(store.versions().len(), 1, "every attempt writes the same row");
    }
}

mod n12 {
    use super::*;

    #[tokio::test]
    async fn unreadable_former_session_costs_no_grant() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(|builder| builder.store(kept).grants(GrantPolicy::PerWorkspace)).await;
        let mut browser = TestBrowser::new();
        let approve = |link: &str, workspace: usize| {
            let access = Access::Workspace(app.fake.workspaces()[workspace].id().to_owned());
            app.fake.approve_with(link, access).unwrap().to_string()
        };
        let login = browser.step(&app.url(LOGIN)).await.unwrap();
        let first = approve(login.location().unwrap().as_str(), 0);
        browser.step(&first).await.unwrap();
        let former = store.rows()[0].key().subject().clone();

        let login = browser.step(&app.url(LOGIN)).await.unwrap();
        let second = approve(login.location().unwrap().as_str(), 1);
        app.clock.advance(Duration::from_secs(60));
        store.unreadable(Some(former));
        let page = browser.step(&second).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert_eq!(app.fake.issued_tokens(), 1, "the code is still good");
        store.unreadable(None);
        let page = browser.step(&second).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!(store.rows().len(), 2, "both workspaces are connected");
    }
}

mod s17 {
    use super::*;

    #[tokio::test]
    async fn former_session_that_cannot_be_ended_is_ended_later() {
        let (app, store) = app().await;
        let mut browser = TestBrowser::new();
        let first = app.callback(&mut browser, "/sites").await;
        browser.step(&first).await.unwrap();
        let stolen = tab(&browser);
        let login = browser.step(&app.url(LOGIN)).await.unwrap();
        let second = app.fake.approve(login.location().unwrap()).unwrap();
        store.on_remove(OnRemove::Refuse);
        let page = browser.step(second.as_str()).await.unwrap();
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!(store.rows().len(), 2, "the former session is still there");
        store.on_remove(OnRemove::Remove);
        eventually("the former session is gone", || store.rows().len() == 1).await;
        assert!(!is_connected(&app, &stolen).await);
        assert!(is_connected(&app, &browser).await);
    }
}

mod n9 {
    use super::*;

    #[tokio::test]
    async fn failing_introspection_backs_off() {
        let (app, store) = app().await;
        app.fake.fail_always(Endpoint::Introspect, Fault::Status(500));
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/whoami").await;
        browser.step(&callback).await.unwrap();
        let asked = || app.fake.requests_to("/v2/token/introspect").len();
        assert_eq!(asked(), 1, "at the callback");
        // Twenty minutes with a request every six seconds, each of which reads the store.
        for _ in 0..200 {
            app.clock.advance(Duration::from_secs(6));
            browser.visit(&app.url("/whoami")).await.unwrap();
            tokio::task::yield_now().await;
        }
        eventually("the last look-up has been asked", || asked() > 4).await;
        assert!(asked() < 12, "{} times", asked());
        assert!(store.loads.load(Ordering::SeqCst) > 200);
        app.fake.heal();
        // The longest pause is an hour.
        app.clock.advance(Duration::from_secs(3600));
        browser.visit(&app.url("/whoami")).await.unwrap();
        eventually("the grant is looked up", || {
            !store.rows()[0].workspaces().is_empty() || !store.rows()[0].sites().is_empty()
        })
        .await;
        let before = asked();
        app.clock.advance(Duration::from_secs(60));
        browser.visit(&app.url("/whoami")).await.unwrap();
        assert_eq!(asked(), before, "once is enough");
    }
}

mod s3 {
    use super::*;

    #[tokio::test]
    async fn planted_flow_cookie_ends_only_that_flow() {
        let (app, store) = app().await;
        // A victim is connected. An attacker logs out with the state of the victim's flow.
        let mut victim = TestBrowser::new();
        let callback = app.callback(&mut victim, "/sites").await;
        victim.step(&callback).await.unwrap();
        let state = parameter(&callback, "state");
        let mut attacker = TestBrowser::new();
        attacker.step(&app.url(&format!("{CALLBACK}?code=x&state={state}"))).await.unwrap();
        attacker.fetch(Method::POST, &app.url(LOGOUT)).await.unwrap();
        assert_eq!(store.rows().len(), 1);
        assert!(is_connected(&app, &victim).await);
    }
}

//! `on_authorized`, `on_revoked` and logins that the application starts itself.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tower_webflow_auth::testing::{Access, Endpoint, Fault, Page, TestBrowser};
use tower_webflow_auth::{
    BeginError, ExposeSecret, GrantPolicy, Login, NewGrant, Next, Scope, Subject, WebflowAuthLayer,
    Why, config::WebflowAuthBuilder,
};

use crate::support::hostile::{OnLoad, OnRemove, TestStore, parameter};
use crate::support::{App, router};

const LOGIN: &str = "/auth/webflow/login?return_to=/whoami";

type Seen<T> = Arc<Mutex<Vec<T>>>;

fn ada(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|_| Some(Subject::user("ada")))
}

/// The new grants that the hook received.
fn watch(builder: WebflowAuthBuilder, seen: &Seen<NewGrant>) -> WebflowAuthBuilder {
    let seen = Arc::clone(seen);
    builder.on_authorized(move |new| {
        seen.lock().unwrap().push(new);
        ready(Ok(Next::Continue))
    })
}

async fn log_in(app: &App, browser: &mut TestBrowser) -> Page {
    let callback = app.callback(browser, LOGIN).await;
    browser.step(&callback).await.unwrap()
}

fn location(page: &Page) -> &str {
    page.headers.get("location").map_or("", |it| it.to_str().unwrap())
}

#[tokio::test]
async fn hook_sees_what_is_new() {
    let seen = Seen::default();
    let app = App::with(|builder| {
        watch(ada(builder), &seen).grants(GrantPolicy::PerWorkspace).introspect(true)
    })
    .await;
    let workspaces = app.fake.workspaces();
    let sites: Vec<_> = workspaces[0].sites().iter().map(|site| site.id().to_owned()).collect();
    let mut browser = TestBrowser::new();
    for count in [1, sites.len()] {
        let login = browser.step(&app.url(LOGIN)).await.unwrap().location().unwrap();
        let access = Access::Sites(sites[..count].to_vec());
        let callback = app.fake.approve_with(&login, access).unwrap();
        assert_eq!(location(&browser.step(callback.as_str()).await.unwrap()), "/whoami");
    }
    let seen = seen.lock().unwrap();
    let [first, second] = seen.as_slice() else { panic!("{} grants", seen.len()) };
    assert!(first.is_first() && first.former().is_none() && first.data::<()>().is_none());
    assert_eq!((first.new_sites(), first.return_to()), (&sites[..1], "/whoami"));
    assert_eq!(first.subject(), &Subject::user("ada"));
    assert!(!second.is_first());
    assert_eq!(second.new_sites(), &sites[1..]);
    let former = second.former().unwrap();
    assert_eq!(former.obtained_at(), first.token().obtained_at());
    assert_eq!(former.sites(), first.token().sites());
}

#[tokio::test]
async fn former_grant_is_the_one_that_is_replaced() {
    let seen = Seen::default();
    let app = App::with(|builder| watch(ada(builder), &seen)).await;
    let mut browser = TestBrowser::new();
    log_in(&app, &mut browser).await;
    log_in(&app, &mut browser).await;
    let seen = seen.lock().unwrap();
    let former = seen[1].former().unwrap();
    assert_eq!(
        former.access_token().expose_secret(),
        seen[0].token().access_token().expose_secret()
    );
    assert!(seen[1].new_sites().is_empty());
}

#[tokio::test]
async fn each_reason_is_reported_once() {
    let why = Seen::default();
    let told = Arc::clone(&why);
    let app = App::with(|builder| {
        ada(builder).on_revoked(move |gone| {
            told.lock().unwrap().push(gone.why());
            ready(())
        })
    })
    .await;
    let mut browser = TestBrowser::new();
    log_in(&app, &mut browser).await;
    log_in(&app, &mut browser).await;
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    log_in(&app, &mut browser).await;
    app.auth.handle().revoke(&Subject::user("ada")).await.unwrap();
    log_in(&app, &mut browser).await;
    app.fake.revoke_everything();
    browser.step(&app.url("/sites")).await.unwrap();
    app.auth.shutdown().await;
    assert_eq!(*why.lock().unwrap(), [Why::Replaced, Why::SignedOut, Why::Revoked, Why::Dead]);
}

#[tokio::test]
async fn response_does_not_wait_for_on_revoked_but_shutdown_does() {
    let (done, heard) = (Seen::<()>::default(), Arc::new(tokio::sync::Notify::new()));
    let (told, gate) = (Arc::clone(&done), Arc::clone(&heard));
    let app = App::with(|builder| {
        ada(builder).on_revoked(move |_| {
            let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
            async move {
                gate.notified().await;
                told.lock().unwrap().push(());
            }
        })
    })
    .await;
    let mut browser = TestBrowser::new();
    log_in(&app, &mut browser).await;
    let page = browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(page.path(), "/");
    assert!(done.lock().unwrap().is_empty());
    heard.notify_one();
    assert!(app.auth.shutdown().await);
    assert_eq!(done.lock().unwrap().len(), 1);
}

mod i2 {
    use super::*;

    #[tokio::test]
    async fn redirects_lead_to_the_application_or_to_webflow_only() {
        let target = Arc::new(Mutex::new(String::new()));
        let next = Arc::clone(&target);
        let app = App::with(|builder| {
            ada(builder)
                .on_authorized(move |_| ready(Ok(Next::redirect(next.lock().unwrap().clone()))))
        })
        .await;
        let mut browser = TestBrowser::new();
        for (to, expected) in [
            ("/welcome?a=b", "/welcome?a=b"),
            ("/", "/"),
            (
                "https://my-site.design.webflow.com?app=1",
                "https://my-site.design.webflow.com?app=1",
            ),
            ("https://webflow.com/dashboard", "https://webflow.com/dashboard"),
            ("https://evil.example/", "/whoami"),
            ("//evil.example/", "/whoami"),
            ("javascript:alert(1)", "/whoami"),
            ("https://my-site.design.webflow.com:8443/", "/whoami"),
            ("https://user@my-site.design.webflow.com/", "/whoami"),
            ("https://my-site.design.webflow.com.evil.example/", "/whoami"),
            ("/a\r\nSet-Cookie: a=b", "/whoami"),
            ("/auth/webflow/login", "/whoami"),
            ("", "/whoami"),
        ] {
            to.clone_into(&mut target.lock().unwrap());
            let page = log_in(&app, &mut browser).await;
            assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, expected), "{to}");
        }
    }
}

mod i3 {
    use super::*;

    #[tokio::test]
    async fn repeated_and_parallel_callbacks_get_the_same_redirect() {
        let runs = Seen::default();
        let counted = Arc::clone(&runs);
        let app = App::with(|builder| {
            builder.on_authorized(move |_| {
                counted.lock().unwrap().push(());
                async {
                    tokio::task::yield_now().await;
                    Ok(Next::redirect("/welcome"))
                }
            })
        })
        .await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, LOGIN).await;
        let before = browser.clone();
        let (mut a, mut b) = (before.clone(), before.clone());
        let (a, b) = futures::join!(a.step(&callback), b.step(&callback));
        // With the flow's cookie, as after a lost response, and without it.
        let lost = before.clone().step(&callback).await;
        browser.step(&callback).await.unwrap();
        let reloaded = browser.step(&callback).await;
        for page in [a, b, lost, reloaded] {
            let page = page.unwrap();
            assert_eq!((page.status, location(&page)), (StatusCode::SEE_OTHER, "/welcome"));
        }
        assert_eq!((runs.lock().unwrap().len(), app.fake.issued_tokens()), (1, 1));
    }

    /// An application whose hook refuses grants while the switch is on.
    async fn refusing(
        store: &TestStore,
        change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
    ) -> (App, Arc<Mutex<bool>>, Seen<Why>) {
        let (refuses, gone) = (Arc::new(Mutex::new(true)), Seen::default());
        let (no, told, kept) = (Arc::clone(&refuses), Arc::clone(&gone), store.clone());
        let app = App::with(|builder| {
            change(builder)
                .store(kept)
                .on_authorized(move |_| {
                    let refuses = *no.lock().unwrap();
                    async move {
                        if refuses {
                            Err("no room for another tenant".into())
                        } else {
                            Ok(Next::Continue)
                        }
                    }
                })
                .on_revoked(move |it| {
                    told.lock().unwrap().push(it.why());
                    ready(())
                })
        })
        .await;
        (app, refuses, gone)
    }

    #[tokio::test]
    async fn refused_grant_leaves_no_token_no_row_and_no_session() {
        let store = TestStore::default();
        let (app, refuses, gone) = refusing(&store, |builder| builder).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, LOGIN).await;
        let cookies = browser.clone();
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(page.text.contains("hook-refused") && page.text.contains("/auth/webflow/login"));
        assert!(!page.text.contains("tenant"), "the reason is for the log");
        assert!(browser.cookies("127.0.0.1").is_empty());
        assert_eq!((app.fake.live_tokens(), store.rows().len()), (0, 0));
        // The flow has ended, even with its cookie and even if the hook would accept now.
        *refuses.lock().unwrap() = false;
        for mut browser in [browser.clone(), cookies] {
            let page = browser.step(&callback).await.unwrap();
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        }
        assert_eq!(app.fake.issued_tokens(), 1);
        assert_eq!(location(&log_in(&app, &mut browser).await), "/whoami");
        app.auth.shutdown().await;
        assert!(gone.lock().unwrap().is_empty(), "it never counted");
    }

    #[tokio::test]
    async fn refused_grant_leaves_the_former_one_as_it_was() {
        for policy in [GrantPolicy::Single, GrantPolicy::PerWorkspace] {
            let store = TestStore::default();
            let (app, refuses, gone) =
                refusing(&store, |builder| ada(builder).grants(policy)).await;
            *refuses.lock().unwrap() = false;
            let mut browser = TestBrowser::new();
            log_in(&app, &mut browser).await;
            let handle = app.auth.handle();
            let subject = Subject::user("ada");
            let before = handle.tokens(&subject).await.unwrap();
            app.clock.advance(Duration::from_secs(5));
            *refuses.lock().unwrap() = true;
            let page = log_in(&app, &mut browser).await;
            assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
            let after = handle.tokens(&subject).await.unwrap();
            assert_eq!((before.len(), after.len(), store.rows().len()), (1, 1, 1));
            assert_eq!(after[0].obtained_at(), before[0].obtained_at());
            let page = browser.step(&app.url("/sites")).await.unwrap();
            assert_eq!(page.status, StatusCode::OK, "it still works: {}", page.text);
            assert_eq!(app.fake.live_tokens(), 1);
            app.auth.shutdown().await;
            assert!(gone.lock().unwrap().is_empty(), "{policy:?}");
        }
    }

    #[tokio::test]
    async fn refused_grant_of_a_new_session_keeps_the_former_session() {
        let store = TestStore::default();
        let (app, refuses, _) = refusing(&store, |builder| builder).await;
        *refuses.lock().unwrap() = false;
        let mut browser = app.connected().await;
        let session = browser.cookies("127.0.0.1");
        *refuses.lock().unwrap() = true;
        log_in(&app, &mut browser).await;
        assert_eq!(browser.cookies("127.0.0.1"), session);
        assert_eq!(browser.step(&app.url("/sites")).await.unwrap().status, StatusCode::OK);
        assert_eq!((app.fake.live_tokens(), store.rows().len()), (1, 1));
    }

    #[tokio::test]
    async fn grant_that_webflow_will_not_revoke_is_still_removed() {
        let store = TestStore::default();
        let (app, ..) = refusing(&store, |builder| builder).await;
        app.fake.fail_always(Endpoint::Revoke, Fault::Status(500));
        let page = log_in(&app, &mut TestBrowser::new()).await;
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((app.fake.live_tokens(), store.rows().len()), (1, 0));
        app.fake.heal();
        assert!(app.auth.shutdown().await, "the last attempt");
        assert_eq!(app.fake.live_tokens(), 0);
    }

    #[tokio::test]
    async fn row_that_the_store_will_not_remove_is_removed_later() {
        for policy in [GrantPolicy::Single, GrantPolicy::PerWorkspace] {
            let store = TestStore::default();
            let (app, ..) = refusing(&store, |builder| builder.grants(policy)).await;
            store.on_remove(OnRemove::Refuse);
            log_in(&app, &mut TestBrowser::new()).await;
            assert_eq!((app.fake.live_tokens(), store.rows().len()), (0, 1));
            store.on_remove(OnRemove::Remove);
            assert!(app.auth.shutdown().await, "the last attempt");
            assert!(store.rows().is_empty(), "{policy:?}");
        }
    }

    #[tokio::test]
    async fn former_grant_is_restored_once_the_store_recovers() {
        let store = TestStore::default();
        let (refuses, outage) = (Arc::new(Mutex::new(false)), store.clone());
        let (no, kept) = (Arc::clone(&refuses), store.clone());
        let app = App::with(|builder| {
            ada(builder).store(kept).on_authorized(move |_| {
                if !*no.lock().unwrap() {
                    return ready(Ok(Next::Continue));
                }
                outage.on_load(OnLoad::Refuse);
                ready(Err("no".into()))
            })
        })
        .await;
        let mut browser = TestBrowser::new();
        log_in(&app, &mut browser).await;
        let former = app.auth.handle().token(&Subject::user("ada")).await.unwrap().unwrap();
        app.clock.advance(Duration::from_secs(5));
        *refuses.lock().unwrap() = true;
        log_in(&app, &mut browser).await;
        store.on_load(OnLoad::Answer);
        assert!(app.auth.shutdown().await, "the last attempt");
        let now = app.auth.handle().token(&Subject::user("ada")).await.unwrap().unwrap();
        assert_eq!(now.obtained_at(), former.obtained_at());
        assert!(now.api().introspect().await.is_ok());
    }
}

/// The usual routes, and a handler of the application that starts a login.
fn with_begin(auth: &WebflowAuthLayer) -> Router {
    async fn begin(
        State(auth): State<WebflowAuthLayer>,
        request: Request,
    ) -> Result<Response, BeginError> {
        let data = request.uri().query().unwrap_or_default().to_owned();
        let (parts, _) = request.into_parts();
        let login = Login::new().return_to("/whoami").scopes([Scope::CMS_WRITE]).data(&data);
        auth.begin(&parts, login).await
    }
    router(auth).route("/begin", get(begin).post(begin).with_state(auth.clone()))
}

mod begin {
    use super::*;

    #[tokio::test]
    async fn data_reaches_the_hook_and_scopes_are_added() {
        let seen = Seen::default();
        let app = App::with_router(|builder| watch(builder, &seen), with_begin).await;
        let mut browser = TestBrowser::new();
        let page = browser.submit(&app.url("/begin?project-7")).await.unwrap();
        assert_eq!(page.url.path(), "/oauth/authorize", "{}", page.text);
        assert_eq!(
            parameter(page.url.as_str(), "scope"),
            "sites%3Aread%20cms%3Aread%20cms%3Awrite"
        );
        assert!(!page.url.as_str().contains("project-7"));
        let page = browser.press("Authorize", &page).await.unwrap();
        assert_eq!((page.path(), page.status), ("/whoami", StatusCode::OK), "{}", page.text);
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].data::<String>().unwrap().unwrap(), "project-7");
        assert!(seen[0].data::<u32>().unwrap().is_err());
    }

    #[tokio::test]
    async fn data_over_one_kibibyte_is_an_error() {
        let app = App::with_router(|builder| builder, with_begin).await;
        let mut browser = TestBrowser::new();
        for (length, status) in [(1022, 303), (1023, 500)] {
            let path = format!("/begin?{}", "x".repeat(length));
            let page = browser.step(&app.url(&path)).await.unwrap();
            assert_eq!(page.status.as_u16(), status, "{length}: {}", page.text);
        }
        assert!(browser.cookies("127.0.0.1").iter().all(|(_, value)| value.len() < 4000));
        let (parts, ()) = axum::http::Request::new(()).into_parts();
        let login = Login::new().data(&"x".repeat(2000));
        let error = app.auth.begin::<axum::body::Bytes>(&parts, login).await.unwrap_err();
        assert!(matches!(error, BeginError::DataTooLong { len: 2002 }), "{error}");
    }

    #[tokio::test]
    async fn login_does_not_start_while_the_store_is_down() {
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with_router(|builder| ada(builder).store(kept), with_begin).await;
        store.on_load(OnLoad::Refuse);
        let mut browser = TestBrowser::new();
        assert_eq!(browser.step(&app.url("/sites")).await.unwrap().status.as_u16(), 503);
        let page = browser.step(&app.url("/begin")).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
        assert!(page.set_cookies().is_empty());
    }

    #[tokio::test]
    async fn nobody_signed_in_is_a_401() {
        let app = App::with_router(|builder| builder.subject(|_| None), with_begin).await;
        let page = TestBrowser::new().step(&app.url("/begin")).await.unwrap();
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(page.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn designer_link_names_the_site_and_the_app() {
    let app = App::start().await;
    app.connected().await;
    let handle = app.auth.handle();
    let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
    let token = handle.tokens_for_site(&site).await.unwrap().remove(0);
    let mut site = token.api().sites().await.unwrap().remove(0);
    let link = token.designer_link(&site).unwrap();
    let client = app.fake.client_id();
    assert_eq!(link, format!("https://{}.design.webflow.com?app={client}", site.short_name));
    for name in ["", "a.b", "evil.example/", "A", "a b"] {
        name.clone_into(&mut site.short_name);
        assert_eq!(token.designer_link(&site), None, "{name}");
    }
}

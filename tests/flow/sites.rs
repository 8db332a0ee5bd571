//! The sites of a grant: looked up at the callback, on later requests, and after a site was added.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower_webflow_auth::handle::{IdTokenError, LookupError};
use tower_webflow_auth::testing::{Access, Endpoint, Fault, TestBrowser};
use tower_webflow_auth::{GrantPolicy, Scope, Subject, WebflowAuthHandle, WebflowToken};

use crate::support::App;
use crate::support::hostile::{TestStore, eventually, settle};

const SITES: &str = "/v2/sites";
const INTROSPECT: &str = "/v2/token/introspect";

fn asked(app: &App, path: &str) -> usize {
    app.fake.requests_to(path).len()
}

fn workspace(app: &App) -> String {
    app.fake.workspaces()[0].id().to_owned()
}

fn site_ids(app: &App) -> Vec<String> {
    app.fake.workspaces()[0].sites().iter().map(|site| site.id().to_owned()).collect()
}

/// Logs in through the login path. The user picks the first workspace.
async fn connect(app: &App) -> TestBrowser {
    let workspace = Access::Workspace(workspace(app));
    connect_with(app, workspace).await
}

async fn connect_with(app: &App, access: Access) -> TestBrowser {
    let mut browser = TestBrowser::new();
    let login = browser.step(&app.url("/auth/webflow/login")).await.unwrap();
    let callback = app.fake.approve_with(login.location().unwrap(), access).unwrap();
    let back = browser.step(callback.as_str()).await.unwrap();
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    browser
}

async fn one(handle: &WebflowAuthHandle, site: &str) -> WebflowToken {
    let [token] = handle.tokens_for_site(site).await.unwrap().try_into().unwrap();
    token
}

/// Makes `/v2/sites` list these sites from now on.
fn list(app: &App, ids: &[&str]) {
    let sites: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
    app.fake.fail_always(Endpoint::Sites, Fault::json(200, &json!({ "sites": sites })));
}

fn introspection(app: &App, authorized_to: &Value) {
    let answer = json!({"authorization": {"id": "a", "authorizedTo": authorized_to}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &answer));
}

mod at_the_callback {
    use super::*;

    #[tokio::test]
    async fn a_whole_workspace_is_found_by_each_of_its_sites() {
        let app = App::start().await;
        connect(&app).await;
        assert_eq!((asked(&app, INTROSPECT), asked(&app, SITES)), (1, 1));
        let handle = app.auth.handle();
        for id in site_ids(&app) {
            let token = one(&handle, &id).await;
            assert_eq!(token.sites(), site_ids(&app));
            assert_eq!(token.workspaces(), [workspace(&app)]);
            assert!(token.covers_site(&id));
            assert!(!token.covers_site(app.fake.workspaces()[1].sites()[0].id()));
        }
        assert_eq!(asked(&app, SITES), 1);
    }

    #[tokio::test]
    async fn sites_named_by_introspection_are_not_listed() {
        let app = App::start().await;
        let site = site_ids(&app).remove(0);
        connect_with(&app, Access::Sites(vec![site.clone()])).await;
        assert_eq!(one(&app.auth.handle(), &site).await.sites(), [site]);
        assert_eq!(asked(&app, SITES), 0);
    }

    #[tokio::test]
    async fn missing_null_and_empty_all_name_no_sites() {
        for ids in [json!({}), json!({"siteIds": null}), json!({"siteIds": []})] {
            let app = App::start().await;
            introspection(&app, &ids);
            connect(&app).await;
            assert_eq!(asked(&app, SITES), 1, "{ids}");
            assert_eq!(one(&app.auth.handle(), &site_ids(&app)[0]).await.sites().len(), 2);
        }
    }

    #[tokio::test]
    async fn without_the_scope_nothing_is_listed() {
        let app = App::with(|builder| builder.scopes([Scope::CMS_READ])).await;
        let mut browser = connect(&app).await;
        browser.visit(&app.url("/whoami")).await.unwrap();
        let (handle, site) = (app.auth.handle(), &site_ids(&app)[0]);
        assert!(handle.tokens_for_site(site).await.unwrap().is_empty());
        assert!(handle.tokens_for_site_in(site, &workspace(&app)).await.unwrap().is_empty());
        let [token] =
            handle.tokens_for_workspace(&workspace(&app)).await.unwrap().try_into().unwrap();
        assert!(!token.covers_site(site));
        assert_eq!(asked(&app, SITES), 0);
    }

    #[tokio::test]
    async fn null_means_no_sites() {
        let app = App::start().await;
        app.fake.fail_next(Endpoint::Sites, Fault::json(200, &json!({ "sites": null })));
        let mut browser = connect(&app).await;
        for _ in 0..3 {
            app.clock.advance(Duration::from_secs(60));
            browser.visit(&app.url("/whoami")).await.unwrap();
            settle().await;
        }
        assert_eq!(asked(&app, SITES), 1);
    }

    #[tokio::test]
    async fn a_thousand_sites_are_kept() {
        let app = App::start().await;
        let ids: Vec<_> = (0..1000).map(|i| format!("site-{i:04}")).collect();
        let padding = "x".repeat(1000);
        let sites: Vec<_> =
            ids.iter().map(|id| json!({"id": id, "displayName": padding})).collect();
        app.fake.fail_always(Endpoint::Sites, Fault::json(200, &json!({ "sites": sites })));
        connect(&app).await;
        assert_eq!(one(&app.auth.handle(), "site-0999").await.sites(), ids);
    }

    #[tokio::test]
    async fn lookups_share_five_seconds() {
        let app =
            App::with(|builder| builder.scopes([Scope::SITES_READ, Scope::AUTHORIZED_USER_READ]))
                .await;
        let late = Fault::Delay(Duration::from_secs(3));
        app.fake.fail_next(Endpoint::Introspect, late);
        app.fake.fail_next(Endpoint::Sites, Fault::Hang);
        app.fake.fail_next(Endpoint::AuthorizedBy, Fault::Hang);
        let started = Instant::now();
        connect(&app).await;
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        let handle = app.auth.handle();
        let tokens = handle.tokens_for_workspace(&workspace(&app)).await.unwrap();
        assert_eq!(tokens.len(), 1, "what introspection said is kept");
    }
}

mod with_later_requests {
    use super::*;

    #[tokio::test]
    async fn failed_lookups_are_retried_immediately_and_then_at_doubling_intervals() {
        let app = App::start().await;
        app.fake.fail_always(Endpoint::Sites, Fault::Status(500));
        let mut browser = connect(&app).await;
        assert_eq!(asked(&app, SITES), 1, "at the callback");
        browser.visit(&app.url("/whoami")).await.unwrap();
        eventually("a lookup at once", || asked(&app, SITES) == 2).await;
        for (expected, pause) in (3..).zip([10_000, 20_000, 40_000]) {
            app.clock.advance(Duration::from_millis(pause - 1));
            browser.visit(&app.url("/whoami")).await.unwrap();
            settle().await;
            assert_eq!(asked(&app, SITES), expected - 1, "not yet after {pause} ms");
            app.clock.advance(Duration::from_millis(1));
            browser.visit(&app.url("/whoami")).await.unwrap();
            eventually("another lookup", || asked(&app, SITES) == expected).await;
        }
        assert_eq!(asked(&app, INTROSPECT), 1, "only what is missing is asked for");
        app.fake.heal();
        app.clock.advance(Duration::from_secs(80));
        let site = &site_ids(&app)[0];
        eventually_found(&app, &mut browser, site).await;
        let before = asked(&app, SITES);
        app.clock.advance(Duration::from_secs(3600));
        browser.visit(&app.url("/whoami")).await.unwrap();
        settle().await;
        assert_eq!(asked(&app, SITES), before, "once is enough");
    }

    #[tokio::test]
    async fn after_a_failed_introspection_everything_is_looked_up() {
        let app = App::start().await;
        app.fake.fail_next(Endpoint::Introspect, Fault::Reset);
        // A request whose connection closed without a response is retried once.
        app.fake.fail_next(Endpoint::Introspect, Fault::Status(500));
        let mut browser = connect(&app).await;
        assert_eq!(asked(&app, SITES), 0, "only after an introspection");
        eventually_found(&app, &mut browser, &site_ids(&app)[1]).await;
    }

    #[tokio::test]
    async fn a_job_counts_as_a_request() {
        let app = App::with(|builder| builder.subject(|_| Some(Subject::user("ada")))).await;
        app.fake.fail_next(Endpoint::Sites, Fault::Status(500));
        connect(&app).await;
        let (handle, site) = (app.auth.handle(), &site_ids(&app)[0]);
        assert!(handle.token(&Subject::user("ada")).await.unwrap().is_some());
        eventually("another lookup", || asked(&app, SITES) == 2).await;
        crate::support::hostile::eventually_by("the site", async || {
            !handle.tokens_for_site(site).await.unwrap().is_empty()
        })
        .await;
    }

    async fn eventually_found(app: &App, browser: &mut TestBrowser, site: &str) {
        let handle = app.auth.handle();
        crate::support::hostile::eventually_by("the site", async || {
            browser.visit(&app.url("/whoami")).await.unwrap();
            !handle.tokens_for_site(site).await.unwrap().is_empty()
        })
        .await;
    }
}

mod added_after_the_install {
    use super::*;

    #[tokio::test]
    async fn a_new_site_is_found_and_then_known() {
        let app = App::start().await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let known = site_ids(&app);
        list(&app, &["new", &known[0]]);
        assert!(handle.tokens_for_site("new").await.unwrap().is_empty());
        assert_eq!(asked(&app, SITES), 1, "without a workspace nothing is looked up");
        assert_eq!(handle.tokens_for_site_in("new", &workspace).await.unwrap().len(), 1);
        assert_eq!(asked(&app, SITES), 2, "the callback's own lookup does not count");
        assert_eq!(one(&handle, "new").await.sites(), ["new", &known[0]]);
        assert!(handle.tokens_for_site(&known[1]).await.unwrap().is_empty(), "it is gone");
    }

    #[tokio::test]
    async fn the_workspace_id_is_only_a_hint() {
        let app = App::start().await;
        connect(&app).await;
        let handle = app.auth.handle();
        for workspace in ["another", "", "no id", &workspace(&app)] {
            let found = handle.tokens_for_site_in(&site_ids(&app)[0], workspace).await.unwrap();
            assert_eq!(found.len(), 1, "{workspace}");
        }
        assert_eq!(asked(&app, SITES), 1);
    }

    #[tokio::test]
    async fn invented_ids_cost_one_call_per_grant_and_minute() {
        let app = App::with(|builder| builder.grants(GrantPolicy::PerWorkspace)).await;
        for _ in 0..3 {
            connect(&app).await;
        }
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let before = asked(&app, SITES);
        for minute in 1..=2 {
            for id in 0..20 {
                let id = format!("made-up-{id}");
                assert!(handle.tokens_for_site_in(&id, &workspace).await.unwrap().is_empty());
                app.clock.advance(Duration::from_millis(2_999));
            }
            assert_eq!(asked(&app, SITES) - before, 3 * minute);
            app.clock.advance(Duration::from_millis(20));
        }
        for odd in ["", "a b", "a\0", &"x".repeat(129)] {
            assert!(handle.tokens_for_site_in(odd, &workspace).await.unwrap().is_empty());
        }
        assert_eq!(asked(&app, SITES) - before, 6);
    }

    #[tokio::test]
    async fn a_workspace_without_a_grant_costs_no_call() {
        let app = App::start().await;
        connect(&app).await;
        let other = app.fake.workspaces()[1].id();
        let found = app.auth.handle().tokens_for_site_in("made-up", other).await.unwrap();
        assert!(found.is_empty());
        assert_eq!(asked(&app, SITES), 1);
    }

    #[tokio::test]
    async fn concurrent_callers_share_a_call() {
        let app = App::start().await;
        connect(&app).await;
        list(&app, &["new"]);
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let calls = (0..20).map(|_| handle.tokens_for_site_in("new", &workspace));
        let found = futures::future::join_all(calls).await;
        assert!(found.iter().all(|tokens| tokens.as_ref().unwrap().len() == 1));
        assert_eq!(asked(&app, SITES), 2);
    }

    #[tokio::test]
    async fn dropping_one_caller_does_not_cancel_the_others() {
        let app = App::start().await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let sites = json!({"sites": [{"id": "new"}]});
        app.fake.fail_next(Endpoint::Sites, Fault::json(200, &sites));
        {
            let leaves = handle.tokens_for_site_in("new", &workspace);
            let gone = app.fake.wait_for_requests(SITES, 2);
            tokio::select! { _ = leaves => {}, () = gone => {} }
        }
        assert_eq!(handle.tokens_for_site_in("new", &workspace).await.unwrap().len(), 1);
        assert_eq!(asked(&app, SITES), 2);
    }

    #[tokio::test]
    async fn a_failure_is_returned_and_retried_after_ten_seconds() {
        let app = App::start().await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        app.fake.fail_always(Endpoint::Sites, Fault::Status(500));
        for _ in 0..3 {
            let failed = handle.tokens_for_site_in("new", &workspace).await.unwrap_err();
            assert!(matches!(failed, LookupError::Webflow(_)), "{failed:?}");
            app.clock.advance(Duration::from_millis(3_333));
        }
        assert_eq!(asked(&app, SITES), 2);
        list(&app, &["new"]);
        app.clock.advance(Duration::from_millis(1));
        assert_eq!(handle.tokens_for_site_in("new", &workspace).await.unwrap().len(), 1);
        assert_eq!(asked(&app, SITES), 3);
    }

    #[tokio::test]
    async fn a_failure_is_ignored_if_another_grant_covers_the_site() {
        let app = App::start().await;
        connect(&app).await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let sites = json!({"sites": [{"id": "new"}]});
        app.fake.fail_next(Endpoint::Sites, Fault::Status(503));
        app.fake.fail_next(Endpoint::Sites, Fault::json(200, &sites));
        assert_eq!(handle.tokens_for_site_in("new", &workspace).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_dead_grant_is_removed_without_an_error() {
        let app = App::start().await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        app.fake.revoke_everything();
        assert!(handle.tokens_for_site_in("new", &workspace).await.unwrap().is_empty());
        assert_eq!(asked(&app, INTROSPECT), 2, "the 401 was confirmed");
        assert!(handle.tokens_for_workspace(&workspace).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn tokens_known_to_be_dead_are_not_returned() {
        let app = App::start().await;
        connect(&app).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        let site = &site_ids(&app)[0];
        let token = one(&handle, site).await;
        app.fake.revoke_everything();
        token.api().sites().await.unwrap_err();
        let before = asked(&app, SITES);
        assert!(handle.tokens_for_site(site).await.unwrap().is_empty());
        assert!(handle.tokens_for_site_in(site, &workspace).await.unwrap().is_empty());
        assert!(handle.tokens_for_workspace(&workspace).await.unwrap().is_empty());
        assert_eq!(asked(&app, SITES), before, "it is asked for nothing");
    }

    #[tokio::test]
    async fn concurrent_changes_are_both_kept() {
        let app =
            App::with(|builder| builder.scopes([Scope::SITES_READ, Scope::AUTHORIZED_USER_READ]))
                .await;
        app.fake.fail_next(Endpoint::AuthorizedBy, Fault::Status(500));
        let mut browser = connect(&app).await;
        list(&app, &["new"]);
        app.fake.fail_next(Endpoint::AuthorizedBy, Fault::Delay(Duration::from_millis(200)));
        browser.visit(&app.url("/whoami")).await.unwrap();
        app.fake.wait_for_requests("/v2/token/authorized_by", 2).await;
        let (handle, workspace) = (app.auth.handle(), workspace(&app));
        assert_eq!(handle.tokens_for_site_in("new", &workspace).await.unwrap().len(), 1);
        crate::support::hostile::eventually_by("the user", async || {
            one(&handle, "new").await.user().is_some()
        })
        .await;
    }
}

mod who_uses_them {
    use super::*;

    #[tokio::test]
    async fn an_id_token_is_resolved_by_the_grant_of_a_whole_workspace() {
        let app =
            App::with(|builder| builder.scopes([Scope::SITES_READ, Scope::AUTHORIZED_USER_READ]))
                .await;
        connect(&app).await;
        let (handle, site) = (app.auth.handle(), &site_ids(&app)[1]);
        let user = handle.resolve_id_token(site, &app.fake.id_token(site)).await.unwrap();
        assert_eq!(user.email.as_deref(), Some("ada@example.com"));
        let other = app.fake.workspaces()[1].sites()[0].id();
        let error = handle.resolve_id_token(other, &app.fake.id_token(other)).await.unwrap_err();
        assert!(matches!(error, IdTokenError::NoGrant), "{error:?}");
    }

    #[tokio::test]
    async fn a_whole_workspace_replaces_the_grant_of_one_of_its_sites() {
        let app = App::with(|builder| {
            builder.grants(GrantPolicy::PerWorkspace).subject(|_| Some(Subject::user("ada")))
        })
        .await;
        connect_with(&app, Access::Sites(vec![site_ids(&app).remove(0)])).await;
        connect(&app).await;
        let tokens = app.auth.handle().tokens(&Subject::user("ada")).await.unwrap();
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        assert_eq!(tokens[0].workspaces(), [workspace(&app)]);
    }
}

#[tokio::test]
async fn c18_empty_scopes_of_exchange_and_introspection_grant_nothing() {
    let app = App::start().await;
    let answer = json!({"access_token": "t", "token_type": "bearer", "scope": ""});
    app.fake.fail_next(Endpoint::Token, Fault::json(200, &answer));
    let introspection = json!({"authorization": {"id": "a", "scope": "",
        "authorizedTo": {"workspaceIds": [workspace(&app)]}}});
    app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &introspection));
    connect(&app).await;
    let handle = app.auth.handle();
    let [token] = handle.tokens_for_workspace(&workspace(&app)).await.unwrap().try_into().unwrap();
    assert!(token.scopes().is_empty(), "{}", token.scopes());
    assert_eq!(asked(&app, SITES), 0);
}

#[tokio::test]
async fn expiry_fields_are_stored_and_logged_once() {
    let (log, _capture) = crate::support::log::logged();
    let store = TestStore::default();
    let kept = store.clone();
    let app = App::with(|builder| builder.store(kept)).await;
    for token in ["one", "two"] {
        let answer = json!({"access_token": token, "expires_in": 86_421,
            "refresh_token": "s3cret refresh token"});
        app.fake.fail_next(Endpoint::Token, Fault::json(200, &answer));
        connect(&app).await;
    }
    let text = log.text();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("refresh_token")).collect();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.contains("WARN") && warning.contains("expires_in, refresh_token"), "{warning}");
    assert!(!text.contains("s3cret refresh token") && !text.contains("86421"), "{text}");
    assert_eq!(store.saves.load(Ordering::SeqCst), 2);
    for row in store.rows() {
        let clear = String::from_utf8_lossy(row.sealed()).into_owned();
        assert!(!clear.contains("s3cret"), "{clear}");
    }
}

//! Jobs over all stored grants: listing, verifying, importing, resealing; I5, I6 and I8 of the
//! threat model.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures::{Stream, StreamExt};
use serde_json::json;
use tower_webflow_auth::api::ApiError;
use tower_webflow_auth::handle::{GrantState, ResealError, StoredGrant};
use tower_webflow_auth::store::{GrantId, SealedToken, StoreError, TokenKey};
use tower_webflow_auth::testing::{Endpoint, Fault, Site};
use tower_webflow_auth::{
    GrantPolicy, ImportError, Keyring, Next, Pace, Scope, Subject, Verified, WebflowAuthHandle,
    Why, config::WebflowAuthBuilder,
};

use crate::support::App;
use crate::support::hostile::{OnLoad, OnRemove, OnSave, TestStore, eventually, second_instance};
use crate::support::log::logged;

/// So fast that no test has to wait.
fn fast() -> Pace {
    Pace::per_second(100_000).confirm_after(Duration::ZERO)
}

/// An application whose app ID is configured, with imported grants of these users.
async fn with_grants(store: &TestStore, users: &[&str]) -> (App, Arc<AtomicUsize>) {
    let revoked = Arc::new(AtomicUsize::new(0));
    let app = with_application(store, &revoked).await;
    for user in users {
        import(&app, user).await;
    }
    (app, revoked)
}

async fn with_application(store: &TestStore, revoked: &Arc<AtomicUsize>) -> App {
    let (store, counted) = (store.clone(), Arc::clone(revoked));
    let app = App::with(|builder| {
        builder.store(store).on_revoked(move |gone| {
            counted.fetch_add(usize::from(gone.why() == Why::Dead), Ordering::SeqCst);
            std::future::ready(())
        })
    })
    .await;
    // Identifies the app.
    app.connected().await;
    app
}

fn issue(app: &App) -> String {
    app.fake.issue_token([Scope::SITES_READ])
}

async fn import(app: &App, user: &str) -> String {
    let token = issue(app);
    app.auth.handle().import(&Subject::user(user), token.clone()).await.unwrap();
    token
}

async fn all<T, E: std::fmt::Debug>(stream: impl Stream<Item = Result<T, E>>) -> Vec<T> {
    stream.map(Result::unwrap).collect().await
}

async fn users(handle: &WebflowAuthHandle) -> BTreeSet<String> {
    let grants = all(handle.list_grants(None)).await;
    let users = grants.iter().map(StoredGrant::subject).filter(|it| !it.is_session());
    users.map(|subject| subject.id().to_owned()).collect()
}

fn word(verified: &Verified) -> &'static str {
    match verified.state {
        GrantState::Alive => "alive",
        GrantState::Gone => "gone",
        GrantState::Unknown(_) => "unknown",
        _ => "other",
    }
}

mod p16 {
    use super::*;

    #[tokio::test]
    async fn grants_are_listed_without_tokens_and_a_listing_is_resumed() {
        let store = TestStore::default();
        let names: Vec<_> = (0..450).map(|i| format!("user-{i:03}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let (app, _) = with_grants(&store, &names[..3]).await;
        let handle = app.auth.handle();
        let grants = all(handle.list_grants(None)).await;
        assert_eq!(grants.len(), 4, "a session and three users");
        let sites: Vec<_> = app.fake.workspaces()[0].sites().iter().map(Site::id).collect();
        let user = grants.iter().find(|it| it.subject().id() == "user-001").unwrap();
        assert_eq!(
            (user.sites(), user.scopes().to_string()),
            (
                &sites.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                "sites:read".to_owned()
            )
        );
        assert!(!format!("{user:?}").contains("user-001"), "{user:?}");
        let rest = all(handle.list_grants(Some(grants[1].key()))).await;
        assert_eq!(rest.len(), 2);
        assert_eq!(rest[0].key(), grants[2].key());
    }

    #[tokio::test]
    async fn listing_spans_many_pages_and_ends_after_an_error() {
        let store = TestStore::default();
        let (app, _) = with_grants(&store, &["ada"]).await;
        let template = store.rows().into_iter().find(|row| !row.key().subject().is_session());
        let template = template.unwrap();
        // Rows that do not open are skipped, and do not stop the listing.
        for i in 0..500 {
            let subject = template.key().subject().as_str().replace("ada", &format!("a{i}"));
            let key = TokenKey::new(subject.parse().unwrap(), GrantId::default());
            store.plant([SealedToken::new(
                key,
                template.version(),
                template.sealed().to_vec(),
                template.obtained_at(),
            )]);
        }
        assert_eq!(users(&app.auth.handle()).await.len(), 1);
        let reseal = app.auth.handle().reseal(fast());
        assert_eq!(all(reseal).await.len(), 0);
    }
}

mod i5 {
    use super::*;

    async fn refused(app: &App, subject: &str, token: &str) -> ImportError {
        let log = logged();
        let error = app.auth.handle().import(&Subject::user(subject), token).await.unwrap_err();
        assert!(!log.0.text().contains(token), "{}", log.0.text());
        assert!(!format!("{error} {error:?}").contains(token));
        error
    }

    #[tokio::test]
    async fn token_is_imported_once_and_without_a_hook() {
        let authorized = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&authorized);
        let store = TestStore::default();
        let kept = store.clone();
        let app = App::with(move |builder| {
            builder.store(kept).on_authorized(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok(Next::Continue))
            })
        })
        .await;
        let handle = app.auth.handle();
        let (ada, token) = (Subject::user("ada"), issue(&app));
        let unknown = handle.import(&ada, token.clone()).await;
        assert!(matches!(unknown, Err(ImportError::ApplicationUnknown)), "{unknown:?}");
        app.connected().await;
        let hooks = authorized.load(Ordering::SeqCst);

        let first = handle.import(&ada, token.clone()).await.unwrap();
        assert_eq!(first.scopes().to_string(), "sites:read");
        assert!(!first.sites().is_empty() && !first.workspaces().is_empty());
        let version = |subject| {
            let rows = store.rows();
            let row = rows.iter().find(|row| row.key().subject().id() == subject);
            row.map(SealedToken::version)
        };
        let before = version("ada");
        let again = handle.import(&ada, token.clone()).await.unwrap();
        assert_eq!(again.obtained_at(), first.obtained_at());
        assert_eq!(version("ada"), before, "the row was not written again");

        handle.import(&ada, issue(&app)).await.unwrap();
        assert_eq!(handle.tokens(&ada).await.unwrap().len(), 1, "Single replaces");
        assert_eq!(authorized.load(Ordering::SeqCst), hooks);
        assert_eq!(app.fake.live_tokens(), 3, "nothing was revoked at Webflow");
        assert_eq!(handle.tokens_for_site(&first.sites()[0]).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn application_is_learned_from_a_stored_grant_after_a_restart() {
        let store = TestStore::default();
        let (app, _) = with_grants(&store, &[]).await;
        let kept = store.clone();
        let restarted = second_instance(&app, |builder| builder.store(kept)).await;
        let token = issue(&app);
        restarted.auth.handle().import(&Subject::user("ada"), token).await.unwrap();
    }

    #[tokio::test]
    async fn foreign_site_and_dead_tokens_are_refused() {
        let store = TestStore::default();
        let (app, _) = with_grants(&store, &[]).await;
        let token = issue(&app);
        for (application, expected) in [
            (json!({"id": "0123456789abcdef01234567"}), "OtherApp"),
            (json!({"displayName": "no id"}), "OtherApp"),
            (json!(null), "SiteToken"),
        ] {
            let answer = json!({"authorization": {"id": "a"}, "application": application});
            app.fake.fail_always(Endpoint::Introspect, Fault::json(200, &answer));
            assert_eq!(format!("{:?}", refused(&app, "ada", &token).await), expected);
        }
        app.fake.heal();
        assert!(matches!(refused(&app, "ada", "no token at all").await, ImportError::Dead));
        app.fake.revoke(&token);
        assert!(matches!(refused(&app, "ada", &token).await, ImportError::Dead));
        let limited = Fault::json(429, &json!({"code": "too_many_requests", "message": token}));
        app.fake.fail_always(Endpoint::Introspect, limited);
        let error = refused(&app, "ada", &token).await;
        assert!(matches!(error, ImportError::Api(ApiError::RateLimited { .. })), "{error}");
        app.fake.heal();
        for id in [String::new(), "x".repeat(1025)] {
            let error = refused(&app, &id, &token).await;
            assert!(matches!(error, ImportError::Store(StoreError::InvalidSubject(_))), "{error}");
        }
        store.on_save(OnSave::Refuse);
        let live = issue(&app);
        assert!(matches!(refused(&app, "ada", &live).await, ImportError::Store(_)));
        assert_eq!(store.rows().len(), 1, "nothing was stored");
    }

    #[tokio::test]
    async fn configured_application_decides() {
        let app = App::with(|builder| builder.application_id("0123456789abcdef01234567")).await;
        app.connected().await;
        let token = issue(&app);
        assert!(matches!(refused(&app, "ada", &token).await, ImportError::OtherApp));
        let right = app.fake.application_id().to_owned();
        let other = second_instance(&app, |builder| builder.application_id(right)).await;
        other.auth.handle().import(&Subject::user("ada"), token).await.unwrap();
    }

    #[tokio::test]
    async fn each_authorization_is_a_grant_per_workspace() {
        let app = App::with(|builder| builder.grants(GrantPolicy::PerWorkspace)).await;
        app.connected().await;
        let (handle, ada) = (app.auth.handle(), Subject::user("ada"));
        let first = issue(&app);
        for token in [first.clone(), first, issue(&app)] {
            handle.import(&ada, token).await.unwrap();
        }
        assert_eq!(handle.tokens(&ada).await.unwrap().len(), 2);
    }
}

mod i8 {
    use super::*;

    #[tokio::test]
    async fn only_dead_grants_are_removed_and_each_row_is_one_item() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &["ada", "bob"]).await;
        let dead = import(&app, "eve").await;
        app.fake.revoke(&dead);
        let handle = app.auth.handle();
        let found = all(handle.verify_grants(fast())).await;
        let mut states: Vec<_> =
            found.iter().map(|it| (it.subject().is_session(), word(it))).collect();
        states.sort_unstable();
        assert_eq!(states, [(false, "alive"), (false, "alive"), (false, "gone"), (true, "alive")]);
        assert_eq!(users(&handle).await, ["ada", "bob"].map(str::to_owned).into());
        assert_eq!(revoked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn one_401_removes_nothing() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &["ada", "bob"]).await;
        let handle = app.auth.handle();
        let unauthorized = Fault::json(401, &json!({"code": "not_authorized"}));
        app.fake.fail_times(Endpoint::Introspect, 3, unauthorized);
        let began = Instant::now();
        let pace = Pace::per_second(1000).confirm_after(Duration::from_millis(300));
        let found = all(handle.verify_grants(pace)).await;
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(found.iter().map(word).collect::<Vec<_>>(), ["alive"; 3]);
        assert_eq!(revoked.load(Ordering::SeqCst), 0);
        assert_eq!(handle.tokens(&Subject::user("ada")).await.unwrap().len(), 1, "not marked dead");
    }

    #[tokio::test]
    async fn success_between_two_401s_keeps_the_grant() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &["ada"]).await;
        let handle = app.auth.handle();
        let token = handle.token(&Subject::user("ada")).await.unwrap().unwrap();
        let unauthorized = || Fault::json(401, &json!({"code": "not_authorized"}));
        let ada = TokenKey::new(Subject::user("a"), GrantId::default());
        let pace = Pace::per_second(1000).after(&ada).confirm_after(Duration::from_millis(100));
        let mut verified = pin!(handle.verify_grants(pace));
        app.fake.fail_next(Endpoint::Introspect, unauthorized());
        assert!(futures::poll!(verified.next()).is_pending());
        eventually("the first look", || {
            futures::FutureExt::now_or_never(verified.next()).is_none()
                && app.fake.requests_to("/v2/token/introspect").len() > 2
        })
        .await;
        // The Data API's 401 triggers an introspection, which accepts the token.
        app.clock.advance(Duration::from_secs(1));
        app.fake.fail_next(Endpoint::Sites, unauthorized());
        assert!(matches!(
            token.api().sites().await,
            Err(ApiError::NoAccess { confirmed: true, .. })
        ));
        app.fake.fail_next(Endpoint::Introspect, unauthorized());
        let found = verified.next().await.unwrap().unwrap();
        assert_eq!((found.subject().id(), word(&found)), ("ada", "alive"));
        assert_eq!(revoked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn unknown_removes_nothing_and_failures_do_not_end_the_run() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &["ada", "bob"]).await;
        let handle = app.auth.handle();
        app.fake.fail_always(Endpoint::Introspect, Fault::json(503, &json!({})));
        let found = all(handle.verify_grants(fast())).await;
        assert_eq!(found.iter().map(word).collect::<Vec<_>>(), ["unknown"; 3]);
        app.fake.heal();
        app.fake.revoke_everything();
        store.on_remove(OnRemove::Refuse);
        let found: Vec<_> = handle.verify_grants(fast()).collect().await;
        assert_eq!((found.len(), found.iter().filter(|it| it.is_err()).count()), (3, 3));
        store.on_remove(OnRemove::Remove);
        store.on_load(OnLoad::Answer);
        let found = all(handle.verify_grants(fast())).await;
        assert_eq!(found.iter().map(word).collect::<Vec<_>>(), ["gone"; 3]);
        assert_eq!((store.rows().len(), revoked.load(Ordering::SeqCst)), (0, 3));
    }

    #[tokio::test]
    async fn renewed_grant_is_checked_with_its_new_token() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &[]).await;
        let dead = import(&app, "ada").await;
        let handle = app.auth.handle();
        app.fake.revoke(&dead);
        let after = TokenKey::new(Subject::user("a"), GrantId::default());
        let pace = Pace::per_second(1000).after(&after).confirm_after(Duration::from_millis(200));
        let mut verified = pin!(handle.verify_grants(pace));
        let asked = app.fake.requests_to("/v2/token/introspect").len();
        eventually("the first look", || {
            futures::FutureExt::now_or_never(verified.next()).is_none()
                && app.fake.requests_to("/v2/token/introspect").len() > asked
        })
        .await;
        import(&app, "ada").await;
        let found = verified.next().await.unwrap().unwrap();
        assert_eq!((found.subject().id(), word(&found)), ("ada", "alive"));
        assert_eq!(revoked.load(Ordering::SeqCst), 0);
    }
}

mod i6 {
    use super::*;

    fn keys(old: &str, new: &str) -> [Keyring; 2] {
        let both = format!("{new},{old}");
        [Keyring::from_base64(&both).unwrap(), Keyring::from_base64(new).unwrap()]
    }

    /// An application with the old key and these users, and two instances with both keys.
    async fn rolling(users: &[&str]) -> (TestStore, App, [App; 2], Keyring) {
        let (old, new) = (Keyring::generate_base64(), Keyring::generate_base64());
        let [both, newest] = keys(&old, &new);
        let store = TestStore::default();
        let settings = |keyring: &Keyring| {
            let (store, keyring) = (store.clone(), keyring.clone());
            move |builder: WebflowAuthBuilder| builder.store(store).keyring(keyring)
        };
        let app = App::with(settings(&Keyring::from_base64(&old).unwrap())).await;
        app.connected().await;
        for user in users {
            import(&app, user).await;
        }
        let instances = [
            second_instance(&app, settings(&both)).await,
            second_instance(&app, settings(&both)).await,
        ];
        (store, app, instances, newest)
    }

    #[tokio::test]
    async fn reseal_leaves_no_row_under_the_old_key_and_a_second_run_does_nothing() {
        let (store, app, [instance, _], newest) = rolling(&["ada", "bob"]).await;
        let before = store.rows();
        let handle = instance.auth.handle();
        let first = handle.reseal(fast()).boxed().next().await.unwrap().unwrap();
        assert!(first.subject().is_session(), "and interrupted");
        let rest = all(handle.reseal(fast())).await;
        assert_eq!(rest.len(), 2);
        assert!(rest.contains(&TokenKey::new(Subject::user("ada"), GrantId::default())));
        assert_eq!(all(handle.reseal(fast())).await.len(), 0);
        let versions = |rows: &[SealedToken]| {
            rows.iter().map(|row| (row.key().clone(), row.version())).collect::<BTreeSet<_>>()
        };
        assert_eq!(versions(&store.rows()), versions(&before));
        let kept = store.clone();
        let dropped = second_instance(&app, |it| it.store(kept).keyring(newest)).await;
        assert_eq!(all(dropped.auth.handle().list_grants(None)).await.len(), 3);
    }

    #[tokio::test]
    async fn doctor_counts_the_rows_that_need_an_old_key() {
        let (_store, app, [instance, _], _) = rolling(&["ada", "bob"]).await;
        let line = async |app: &App| {
            let report = app.auth.diagnose().await;
            report
                .checks()
                .iter()
                .find(|it| it.name() == "old keys")
                .map(|it| it.finding().to_owned())
        };
        assert_eq!(line(&app).await, None, "one key");
        let before = line(&instance).await.unwrap();
        assert!(before.contains("3 stored grants still need an old key"), "{before}");
        all(instance.auth.handle().reseal(fast())).await;
        let after = line(&instance).await.unwrap();
        assert!(after.contains("no stored grant needs an old key"), "{after}");
    }

    #[tokio::test]
    async fn rows_that_do_not_open_are_named_and_stay() {
        let (store, app, [_, _], newest) = rolling(&["ada"]).await;
        let kept = store.clone();
        let dropped = second_instance(&app, |it| it.store(kept).keyring(newest)).await;
        let found: Vec<_> = dropped.auth.handle().reseal(fast()).collect().await;
        let named = |it: &Result<_, _>| matches!(it, Err(ResealError::Unopenable(_)));
        assert_eq!((found.len(), found.iter().all(named)), (2, true), "{found:?}");
        assert_eq!(store.rows().len(), 2);
    }

    #[tokio::test]
    async fn two_instances_reseal_while_users_come_and_go() {
        let names: Vec<_> = (0..40).map(|i| format!("user-{i:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let (store, app, instances, newest) = rolling(&names).await;
        let handles = instances.each_ref().map(|it| it.auth.handle());
        let runs = handles.each_ref().map(|handle| all(handle.reseal(fast())));
        let come_and_go = async {
            for (i, name) in names.iter().enumerate() {
                let subject = Subject::user(name);
                match i % 4 {
                    0 => drop(handles[i % 2].revoke(&subject).await.unwrap()),
                    1 => drop(handles[0].import(&subject, issue(&app)).await.unwrap()),
                    // An instance that only has the old key.
                    2 => drop(app.auth.handle().import(&subject, issue(&app)).await.unwrap()),
                    _ => {}
                }
            }
        };
        let (_, ()) = tokio::join!(futures::future::join_all(runs), come_and_go);
        all(handles[0].reseal(fast())).await;
        let kept = store.clone();
        let dropped = second_instance(&app, |it| it.store(kept).keyring(newest)).await;
        let left = users(&dropped.auth.handle()).await;
        let expected: BTreeSet<_> =
            (0..40).filter(|i| i % 4 != 0).map(|i| names[i].to_owned()).collect();
        assert_eq!(left, expected);
        assert_eq!(store.rows().len(), expected.len() + 1);
    }
}

mod the_end {
    use super::*;

    #[tokio::test]
    async fn job_that_finds_its_token_dead_removes_the_grant() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &["bob"]).await;
        let dead = import(&app, "ada").await;
        let handle = app.auth.handle();
        let token = handle.token(&Subject::user("ada")).await.unwrap().unwrap();
        app.fake.revoke(&dead);
        let error = token.api().sites().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error}");
        eventually("the removal", || revoked.load(Ordering::SeqCst) == 1).await;
        assert_eq!(users(&handle).await, BTreeSet::from(["bob".to_owned()]));
    }

    #[tokio::test]
    async fn handler_that_swallows_the_error_keeps_its_grant_for_the_layer() {
        let store = TestStore::default();
        let (app, revoked) = with_grants(&store, &[]).await;
        let mut browser = app.connected().await;
        app.fake.revoke_everything();
        let page = browser.visit(&app.url("/sites")).await.unwrap();
        assert_eq!(page.url.path(), "/oauth/authorize", "{}", page.text);
        assert_eq!(revoked.load(Ordering::SeqCst), 1);
        assert_ne!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

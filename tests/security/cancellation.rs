//! Futures dropped at every point, and panics in every place: work is either complete or undone
//! afterwards, and the service continues.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tower_webflow_auth::store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::testing::{Endpoint, Fault};
use tower_webflow_auth::{
    Next, Subject, SubjectResolver, WebflowToken, config::WebflowAuthBuilder,
};

use crate::support;
use crate::support::hostile::{
    Answer, CALLBACK, Https, LOGOUT, OnLoad, OnRemove, OnSave, TestStore, eventually,
};

/// Polls the future at most that often, then drops it. Returns its output if it was ready.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    struct Polled<'f, F> {
        future: Pin<&'f mut F>,
        left: usize,
    }

    impl<F: Future> Future for Polled<'_, F> {
        type Output = Option<F::Output>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
            self.left = left;
            match self.future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }
    }

    Polled { future: pin!(future), left: times }.await
}

/// An application with this store.
async fn app() -> (Https, TestStore) {
    let store = TestStore::default();
    let kept = store.clone();
    (with(|builder| builder.store(kept)).await, store)
}

async fn with(change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder) -> Https {
    Https::start(change, support::router).await
}

/// A flow that awaits its callback: the callback's target and the browser's cookies.
async fn begun(app: &Https, path: &str) -> (String, String) {
    let challenge = app.visit(path, "").await;
    let callback = app.fake.approve(challenge.location()).unwrap();
    (format!("{CALLBACK}?{}", callback.query().unwrap()), challenge.jar())
}

/// The cookies of a connected browser.
async fn connected(app: &Https) -> String {
    let (target, cookies) = begun(app, "/whoami").await;
    app.visit(&target, &cookies).await.jar()
}

async fn log_out(app: &Https, cookies: &str) -> Answer {
    let own = [("cookie", cookies), ("sec-fetch-site", "same-origin")];
    app.ask("POST", &format!("{LOGOUT}?revoke=true"), &own).await
}

mod n6 {
    use super::*;

    #[tokio::test]
    async fn dropped_callback_leaves_its_token_stored() {
        let (app, store) = app().await;
        for n in 0.. {
            let (target, cookies) = begun(&app, "/sites").await;
            let issued = app.fake.issued_tokens();
            let done = polled(n, app.visit(&target, &cookies)).await;
            let new = || app.fake.issued_tokens() - issued;
            eventually("the exchange", || new() == n.min(1)).await;
            eventually("the write", || store.rows().len() == app.fake.live_tokens()).await;
            // The browser repeats the unanswered request, and is logged in without another token.
            let again = app.visit(&target, &cookies).await;
            assert_eq!(again.status, StatusCode::SEE_OTHER, "after {n} polls: {}", again.text);
            assert_eq!(app.fake.issued_tokens(), issued + 1);
            if let Some(done) = done {
                assert_eq!(done.status, StatusCode::SEE_OTHER);
                assert!(n > 1, "it has to wait for Webflow");
                break;
            }
        }
        assert_eq!(store.writes_dropped.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn dropped_callback_with_a_failing_store_leaves_no_live_token() {
        let (app, store) = app().await;
        for fails in [OnSave::Refuse, OnSave::KeepAndFail, OnSave::Panic] {
            for n in 1.. {
                let (target, cookies) = begun(&app, "/sites").await;
                let issued = app.fake.issued_tokens();
                store.on_save(fails);
                let done = polled(n, app.visit(&target, &cookies)).await;
                eventually("a token was issued", || app.fake.issued_tokens() == issued + 1).await;
                eventually("it is revoked again", || app.fake.live_tokens() == 0).await;
                eventually("its row is gone", || store.rows().is_empty()).await;
                store.on_save(OnSave::Keep);
                if let Some(done) = done {
                    let panics = fails == OnSave::Panic;
                    assert_eq!(done.status.as_u16(), if panics { 500 } else { 503 }, "{fails:?}");
                    break;
                }
            }
        }
        let (target, cookies) = begun(&app, "/sites").await;
        assert_eq!(app.visit(&target, &cookies).await.status, StatusCode::SEE_OTHER, "it goes on");
    }

    #[tokio::test]
    async fn dropped_logout_revokes_and_removes_or_does_neither() {
        for n in 0.. {
            let (app, store) = app().await;
            let cookies = connected(&app).await;
            let done = polled(n, log_out(&app, &cookies)).await;
            assert!(app.auth.shutdown().await);
            assert_whole(&app, &store, n);
            assert_eq!(store.rows().is_empty(), n > 0, "what was begun comes to its end");
            if let Some(done) = done {
                assert!(done.status.is_success() || done.status.is_redirection(), "{}", done.text);
                assert!(n > 1, "it has to wait for Webflow");
                break;
            }
        }
    }

    #[tokio::test]
    async fn dropped_job_revokes_and_removes_or_does_neither() {
        for one in [false, true] {
            for n in 0.. {
                let (app, store) = app().await;
                connected(&app).await;
                let subject = store.rows()[0].key().subject().clone();
                let handle = app.auth.handle();
                let done = if one {
                    let grant = handle.token(&subject).await.unwrap().unwrap();
                    polled(n, handle.revoke_grant(&grant)).await.map(|done| done.map(|()| 1))
                } else {
                    polled(n, handle.revoke(&subject)).await
                };
                assert!(app.auth.shutdown().await);
                assert_whole(&app, &store, n);
                if let Some(done) = done {
                    assert_eq!(done.unwrap(), 1);
                    assert!(store.rows().is_empty());
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn dropped_recovery_never_serves_a_rejected_token() {
        let mut n = 0;
        loop {
            let (app, store) = app().await;
            let cookies = connected(&app).await;
            app.fake.revoke_everything();
            let done = polled(n, app.visit("/sites", &cookies)).await;
            assert!(app.auth.shutdown().await);
            assert_eq!(store.writes_dropped.load(Ordering::SeqCst), 0, "dropped after {n} polls");
            // If the handler did not get as far as finding the token dead, the next one does.
            let next = app.visit("/sites", &cookies).await;
            assert_eq!(next.status, StatusCode::SEE_OTHER, "after {n} polls: {}", next.text);
            assert!(next.location().contains("/oauth/authorize"), "after {n} polls");
            assert!(store.rows().is_empty(), "after {n} polls");
            if let Some(done) = done {
                assert_eq!(done.status, StatusCode::SEE_OTHER);
                assert!(n > 2, "it has to wait for Webflow and for the store");
                break;
            }
            n += 1;
        }
    }
}

/// Asserts all or nothing: no grant is revoked but still stored, or removed but still valid.
fn assert_whole(app: &Https, store: &TestStore, n: usize) {
    let (live, rows) = (app.fake.live_tokens(), store.rows().len());
    assert_eq!(live, rows, "dropped after {n} polls: {live} alive, {rows} stored");
    assert_eq!(store.writes_dropped.load(Ordering::SeqCst), 0, "dropped after {n} polls");
}

mod n14 {
    use super::*;

    #[tokio::test]
    async fn panic_in_a_store_method_fails_one_request() {
        let (app, store) = app().await;
        let goes_on = async |what: &str| {
            let cookies = connected(&app).await;
            let page = app.visit("/whoami", &cookies).await;
            assert_eq!(page.status, StatusCode::OK, "after a panic in {what}: {}", page.text);
            cookies
        };

        let cookies = goes_on("nothing").await;
        app.clock.advance(Duration::from_secs(60));
        store.on_load(OnLoad::Panic);
        assert_eq!(app.visit("/whoami", &cookies).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(log_out(&app, &cookies).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        let (target, flow) = begun(&app, "/whoami").await;
        let refused = app.visit(&target, &flow).await;
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        store.on_load(OnLoad::Answer);
        goes_on("load").await;

        let (target, flow) = begun(&app, "/whoami").await;
        store.on_save(OnSave::Panic);
        let refused = app.visit(&target, &flow).await;
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        store.on_save(OnSave::Keep);
        let cookies = goes_on("save").await;

        store.on_remove(OnRemove::Panic);
        assert_eq!(log_out(&app, &cookies).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        app.fake.revoke_everything();
        let refused = app.visit("/sites", &cookies).await;
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", refused.text);
        store.on_remove(OnRemove::Remove);
        goes_on("remove").await;
    }

    #[tokio::test]
    async fn panic_in_an_optional_store_method_is_an_error() {
        let rows = TestStore::default();
        let panics = Arc::new(AtomicBool::new(true));
        let store = Panicky { rows: rows.clone(), panics: Arc::clone(&panics) };
        let app = with(|builder| builder.store(store)).await;
        app.fake.fail_next(Endpoint::Introspect, Fault::Status(500));
        let cookies = connected(&app).await;
        let page = app.visit("/whoami", &cookies).await;
        assert_eq!(page.status, StatusCode::OK, "the look-up is in the background");
        eventually("an update that panics", || rows.saves.load(Ordering::SeqCst) == 2).await;
        let handle = app.auth.handle();
        for _ in 0..2 {
            let panicked = panics.load(Ordering::SeqCst);
            assert_eq!(handle.tokens_for_site("s").await.is_err(), panicked);
            assert_eq!(handle.tokens_for_workspace("w").await.is_err(), panicked);
            assert_eq!(handle.purge_older_than(Duration::ZERO).await.is_err(), panicked);
            assert_eq!(handle.healthy().await.is_err(), panicked);
            panics.store(false, Ordering::SeqCst);
        }
        assert_eq!(app.visit("/whoami", &cookies).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn panic_in_a_hook_changes_nothing() {
        let switch = Switch::default();
        switch.turn(true);
        let app = with(|builder| {
            let (authorized, revoked, error) = (switch.clone(), switch.clone(), switch.clone());
            builder
                .on_authorized(move |_| {
                    authorized.may_panic();
                    std::future::ready(Ok(Next::Continue))
                })
                .on_revoked(move |_| {
                    revoked.may_panic();
                    std::future::ready(())
                })
                .on_error(move |_| {
                    error.may_panic();
                    None
                })
        })
        .await;
        for on in [true, false] {
            switch.turn(on);
            let cookies = connected(&app).await;
            assert_eq!(app.visit("/whoami", &cookies).await.status, StatusCode::OK, "{on}");
            let refused = app.visit(&format!("{CALLBACK}?code=x&state=y"), &cookies).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{on}");
            assert!(refused.text.contains("unknown-flow"), "{on}: the crate's own answer");
            let left = log_out(&app, &cookies).await;
            assert_eq!(left.status, StatusCode::NO_CONTENT, "{on}: {}", left.text);
            assert_eq!(app.fake.live_tokens(), 0, "{on}");
        }
    }

    #[tokio::test]
    async fn panic_in_a_closure_is_a_500_at_every_endpoint() {
        let switch = Switch::default();
        let subject = with(|builder| {
            let switch = switch.clone();
            builder.subject(move |_| {
                switch.may_panic();
                Some(Subject::user("ada"))
            })
        });
        let resolver = with(|builder| builder.subject_resolver(Resolver(switch.clone())));
        for app in [subject.await, resolver.await] {
            switch.turn(false);
            let (target, cookies) = begun(&app, "/whoami").await;
            switch.turn(true);
            for path in
                ["/", "/whoami", "/auth/webflow/login", &target, &format!("{CALLBACK}?code=x")]
            {
                let page = app.visit(path, &cookies).await;
                assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
                assert!(page.set_cookies().is_empty(), "{path}");
            }
            assert_eq!(log_out(&app, &cookies).await.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(app.fake.issued_tokens(), 0);
            switch.turn(false);
            assert_eq!(app.visit(&target, &cookies).await.status, StatusCode::SEE_OTHER);
            assert_eq!(app.visit("/whoami", "").await.status, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn panic_in_the_grant_choice_is_a_500() {
        let switch = Switch::default();
        let app = with(|builder| {
            let switch = switch.clone();
            builder.select_grant(move |_, grants| {
                switch.may_panic();
                grants.first().cloned()
            })
        })
        .await;
        let cookies = connected(&app).await;
        for (on, status) in [(true, 500), (false, 200), (true, 500), (false, 200)] {
            switch.turn(on);
            for path in ["/whoami", "/"] {
                assert_eq!(app.visit(path, &cookies).await.status.as_u16(), status, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn panic_in_a_handler_loses_nothing() {
        let app = Https::start(
            |builder| builder,
            |auth| {
                let panics =
                    |_: WebflowToken| async { panic!("the handler panics, as the test wants") };
                let panics = move |token: WebflowToken| async move {
                    let _never: () = panics(token).await;
                };
                Router::new()
                    .route("/panics", axum::routing::get(panics))
                    .merge(support::router(auth))
                    .layer(auth.clone())
            },
        )
        .await;
        let cookies = connected(&app).await;
        let request = std::panic::AssertUnwindSafe(app.visit("/panics", &cookies));
        assert!(futures::FutureExt::catch_unwind(request).await.is_err());
        assert_eq!(app.visit("/whoami", &cookies).await.status, StatusCode::OK);
    }
}

/// A store that panics in all optional methods.
struct Panicky {
    rows: TestStore,
    panics: Arc<AtomicBool>,
}

impl Panicky {
    fn may_panic(&self) {
        assert!(!self.panics.load(Ordering::SeqCst), "the store panics, as the test wants");
    }
}

impl TokenStore for Panicky {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.rows.load(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        self.rows.save(token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.rows.remove(key, version).await
    }

    async fn update(&self, _: &SealedToken) -> Result<bool, StoreError> {
        self.rows.saves.fetch_add(1, Ordering::SeqCst);
        self.may_panic();
        Ok(true)
    }

    async fn by_site(&self, _: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.may_panic();
        Ok(vec![])
    }

    async fn by_workspace(&self, _: &str) -> Result<Vec<SealedToken>, StoreError> {
        self.may_panic();
        Ok(vec![])
    }

    async fn purge_older_than(&self, _: Duration) -> Result<u64, StoreError> {
        self.may_panic();
        Ok(0)
    }

    async fn healthy(&self) -> Result<(), StoreError> {
        self.may_panic();
        Ok(())
    }
}

/// A switch that makes closures panic.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn turn(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }

    fn may_panic(&self) {
        assert!(!self.0.load(Ordering::SeqCst), "the application panics, as the test wants");
    }
}

struct Resolver(Switch);

impl SubjectResolver for Resolver {
    async fn resolve(
        &self,
        _: &http::request::Parts,
    ) -> Result<Option<Subject>, Box<dyn std::error::Error + Send + Sync>> {
        tokio::task::yield_now().await;
        self.0.may_panic();
        Ok(Some(Subject::user("ada")))
    }
}

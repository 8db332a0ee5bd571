//! The read cache in front of a store, tested through the application.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::sync::Notify;
use tower_webflow_auth::store::{
    Invalidator, MemoryStore, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion,
};
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{Subject, config::CacheConfig};

use crate::support::App;
use crate::support::hostile::{OnSave, TestStore, call_from, settle, waits};

/// A store that counts its reads, and fails, hangs or panics on command.
#[derive(Clone, Default)]
struct Probe(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rows: MemoryStore,
    loads: AtomicUsize,
    down: AtomicBool,
    panics: AtomicBool,
    /// Reads wait until they are released.
    held: AtomicBool,
    released: Notify,
    invalidator: std::sync::Mutex<Option<Invalidator>>,
}

impl Probe {
    fn loads(&self) -> usize {
        self.0.loads.swap(0, Ordering::SeqCst)
    }

    fn down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        assert!(!self.0.panics.load(Ordering::SeqCst), "the store panics, as the test wants");
        if self.0.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down, as the test wants"));
        }
        Ok(())
    }
}

impl TokenStore for Probe {
    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        if self.0.held.load(Ordering::SeqCst) {
            self.0.released.notified().await;
        }
        self.check()?;
        self.0.rows.load(subject).await
    }

    async fn save(&self, token: &SealedToken) -> Result<(), StoreError> {
        self.check()?;
        self.0.rows.save(token).await
    }

    async fn remove(&self, key: &TokenKey, version: TokenVersion) -> Result<bool, StoreError> {
        self.check()?;
        self.0.rows.remove(key, version).await
    }

    async fn watch(&self, changes: Invalidator) {
        *self.0.invalidator.lock().unwrap() = Some(changes);
        std::future::pending::<()>().await;
    }
}

async fn app(cache: CacheConfig) -> (App, Probe) {
    let probe = Probe::default();
    let store = probe.clone();
    let app = App::with(|builder| {
        builder.store(store).cache(cache).store_timeout(Duration::from_millis(500))
    })
    .await;
    (app, probe)
}

mod n10 {
    use super::*;

    #[tokio::test]
    async fn thousand_cold_requests_read_the_store_once() {
        let (probe, patient) = (Probe::default(), Duration::from_secs(60));
        let app = App::with(|builder| builder.store(probe.clone()).store_timeout(patient)).await;
        let browser = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        probe.loads();
        probe.0.held.store(true, Ordering::SeqCst);
        let requests = (0..1000).map(|_| call_from(&browser, &app, "GET", "/whoami"));
        let mut answers = pin!(futures::future::join_all(requests));
        assert!(waits(answers.as_mut()).await, "for the store");
        probe.0.released.notify_waiters();
        assert!(answers.await.iter().all(|answer| answer.status == StatusCode::OK));
        assert_eq!(probe.loads(), 1);
    }
}

#[tokio::test]
async fn entry_expires_after_its_ttl() {
    let (app, probe) = app(CacheConfig::new().ttl(Duration::from_secs(10))).await;
    let mut browser = app.connected().await;
    probe.loads();
    for _ in 0..5 {
        browser.visit(&app.url("/whoami")).await.unwrap();
    }
    assert_eq!(probe.loads(), 0, "the write has gone through the cache");
    app.clock.advance(Duration::from_secs(10));
    browser.visit(&app.url("/whoami")).await.unwrap();
    assert_eq!(probe.loads(), 1);
}

#[tokio::test]
async fn disabled_cache_reads_on_every_request() {
    let (app, probe) = app(CacheConfig::off()).await;
    let mut browser = app.connected().await;
    probe.loads();
    for _ in 0..3 {
        browser.visit(&app.url("/whoami")).await.unwrap();
    }
    assert_eq!(probe.loads(), 3);
}

#[tokio::test]
async fn removed_token_is_not_served() {
    let (app, _probe) = app(CacheConfig::new().ttl(Duration::from_secs(3600))).await;
    let mut browser = app.connected().await;
    let mut other_tab = browser.clone();
    assert_eq!(other_tab.visit(&app.url("/")).await.unwrap().text, "connected");
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(other_tab.visit(&app.url("/")).await.unwrap().text, "not connected");
}

#[tokio::test]
async fn change_by_another_instance_invalidates_the_entry() {
    let (app, probe) = app(CacheConfig::new().ttl(Duration::from_secs(3600))).await;
    let mut browser = app.connected().await;
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
    let workspace = app.fake.workspaces()[0].id().to_owned();
    let row = probe.0.rows.by_workspace(&workspace).await.unwrap().remove(0);
    probe.0.rows.remove(row.key(), row.version()).await.unwrap();
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected", "not told yet");
    let invalidator = probe.0.invalidator.lock().unwrap().clone().unwrap();
    invalidator.subject(row.key().subject());
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");

    probe.0.rows.save(&row).await.unwrap();
    invalidator.all();
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
}

#[test]
fn watch_restarts_when_its_runtime_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (serving, at_start) = (runtime(), runtime());
    let (app, probe) = serving.block_on(app(CacheConfig::new().ttl(Duration::from_secs(3600))));
    at_start.block_on(async {
        app.auth.handle().token(&Subject::user("ada")).await.unwrap();
        settle().await;
    });
    drop(at_start);
    serving.block_on(async {
        let before = probe.0.invalidator.lock().unwrap().take();
        assert!(before.is_some(), "the look-up at the start has begun to listen");
        let mut browser = app.connected().await;
        browser.visit(&app.url("/whoami")).await.unwrap();
        let listens = || probe.0.invalidator.lock().unwrap().is_some();
        while !listens() {
            tokio::task::yield_now().await;
        }
    });
}

mod n12 {
    use super::*;

    #[tokio::test]
    async fn unavailable_store_is_503_with_retry_after() {
        let (app, probe) = app(CacheConfig::new()).await;
        let mut browser = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        probe.down(true);
        for path in ["/sites", "/whoami", "/"] {
            let page = browser.step(&app.url(path)).await.unwrap();
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(page.headers.contains_key("retry-after"));
            assert!(page.set_cookies().is_empty());
            let fetched = browser.fetch(Method::GET, &app.url(path)).await.unwrap();
            assert_eq!(fetched.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(fetched.headers["content-type"], "application/problem+json");
        }
        probe.down(false);
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn stale_entries_are_served_within_stale_for() {
    let cache = CacheConfig::new().stale_for(Duration::from_secs(100));
    let (app, probe) = app(cache).await;
    let mut browser = app.connected().await;
    probe.down(true);
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().status, StatusCode::OK);
    app.clock.advance(Duration::from_secs(60));
    let page = browser.visit(&app.url("/whoami")).await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

mod n11 {
    use super::*;

    #[tokio::test]
    async fn hanging_store_is_503_after_its_timeout() {
        let (app, probe) = app(CacheConfig::new()).await;
        let mut browser = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        probe.0.held.store(true, Ordering::SeqCst);
        let page = browser.visit(&app.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

mod n14 {
    use super::*;

    #[tokio::test]
    async fn panicking_store_fails_one_request() {
        let (app, probe) = app(CacheConfig::new()).await;
        let mut browser = app.connected().await;
        app.clock.advance(Duration::from_secs(60));
        probe.0.panics.store(true, Ordering::SeqCst);
        let page = browser.visit(&app.url("/whoami")).await.unwrap();
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
        probe.0.panics.store(false, Ordering::SeqCst);
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().status, StatusCode::OK);
    }
}

mod n5 {
    use super::*;

    #[tokio::test]
    async fn token_that_cannot_be_stored_is_revoked_and_503() {
        let store = TestStore::default();
        let app = App::with(|builder| builder.store(store.clone())).await;
        let mut browser = TestBrowser::new();
        let callback = app.callback(&mut browser, "/sites").await;
        // Reads still work, so the callback fails only after the exchange.
        store.on_save(OnSave::Refuse);
        let page = browser.step(&callback).await.unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (1, 0));
        store.on_save(OnSave::Keep);
        assert_eq!(app.connect(&mut browser, "/sites").await.status, StatusCode::OK);
    }
}

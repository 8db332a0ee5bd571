//! The read cache in front of a store, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tower_webflow_auth::store::{
    ChangeSink, MemoryStore, SealedToken, StoreError, TokenKey, TokenStore, TokenVersion,
};
use tower_webflow_auth::testing::TestBrowser;
use tower_webflow_auth::{CacheConfig, Subject};

use crate::support::App;

/// A store that counts its reads, and is down, slow or panics when told to.
#[derive(Clone, Default)]
struct Probe(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rows: MemoryStore,
    loads: AtomicUsize,
    down: AtomicBool,
    panics: AtomicBool,
    slow_millis: AtomicU64,
    sink: std::sync::Mutex<Option<ChangeSink>>,
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
        let slow = Duration::from_millis(self.0.slow_millis.load(Ordering::SeqCst));
        tokio::time::sleep(slow).await;
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

    async fn watch(&self, changes: ChangeSink) {
        *self.0.sink.lock().unwrap() = Some(changes);
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

#[tokio::test]
async fn n10_a_thousand_requests_for_one_cold_subject_read_the_store_once() {
    let (app, probe) = app(CacheConfig::new()).await;
    let browser = app.connected().await;
    app.clock.advance(Duration::from_secs(60));
    probe.loads();
    probe.0.slow_millis.store(50, Ordering::SeqCst);
    let requests = (0..1000).map(|_| {
        let (mut browser, url) = (browser.clone(), app.url("/whoami"));
        async move { browser.fetch(Method::GET, &url).await.unwrap().status }
    });
    let statuses = futures::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(probe.loads(), 1);
}

#[tokio::test]
async fn a_read_is_believed_for_its_time_and_no_longer() {
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
async fn without_a_cache_every_request_reads() {
    let (app, probe) = app(CacheConfig::off()).await;
    let mut browser = app.connected().await;
    probe.loads();
    for _ in 0..3 {
        browser.visit(&app.url("/whoami")).await.unwrap();
    }
    assert_eq!(probe.loads(), 3);
}

#[tokio::test]
async fn a_token_is_not_served_after_this_instance_removed_it() {
    let (app, _probe) = app(CacheConfig::new().ttl(Duration::from_secs(3600))).await;
    let mut browser = app.connected().await;
    let mut other_tab = browser.clone();
    assert_eq!(other_tab.visit(&app.url("/")).await.unwrap().text, "connected");
    browser.submit(&app.url("/auth/webflow/logout")).await.unwrap();
    assert_eq!(other_tab.visit(&app.url("/")).await.unwrap().text, "not connected");
}

#[tokio::test]
async fn what_another_instance_changed_is_read_again_once_it_is_told() {
    let (app, probe) = app(CacheConfig::new().ttl(Duration::from_secs(3600))).await;
    let mut browser = app.connected().await;
    let whoami = browser.visit(&app.url("/whoami")).await.unwrap().json();
    let subject: Subject = whoami["subject"].as_str().unwrap().parse().unwrap();
    let row = probe.0.rows.load(&subject).await.unwrap().remove(0);
    probe.0.rows.remove(row.key(), row.version()).await.unwrap();
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected", "not told yet");
    let sink = probe.0.sink.lock().unwrap().clone().unwrap();
    sink.changed(&subject);
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");

    probe.0.rows.save(&row).await.unwrap();
    sink.everything();
    assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
}

#[test]
fn changes_are_heard_of_though_the_runtime_that_read_first_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (serving, at_start) = (runtime(), runtime());
    let (app, probe) = serving.block_on(app(CacheConfig::new().ttl(Duration::from_secs(3600))));
    at_start.block_on(app.auth.handle().token(&Subject::user("ada"))).unwrap();
    drop(at_start);
    serving.block_on(async {
        let before = probe.0.sink.lock().unwrap().take();
        assert!(before.is_some(), "the look-up at the start has begun to listen");
        let mut browser = app.connected().await;
        browser.visit(&app.url("/whoami")).await.unwrap();
        let listens = || probe.0.sink.lock().unwrap().is_some();
        while !listens() {
            tokio::task::yield_now().await;
        }
    });
}

#[tokio::test]
async fn n12_a_store_that_is_down_is_503_with_retry_after_and_never_a_challenge() {
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

#[tokio::test]
async fn while_the_store_is_down_old_reads_are_used_only_when_asked_for_and_for_a_time() {
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

#[tokio::test]
async fn n11_a_slow_store_is_503_within_its_time() {
    let (app, probe) = app(CacheConfig::new()).await;
    let mut browser = app.connected().await;
    app.clock.advance(Duration::from_secs(60));
    probe.0.slow_millis.store(60_000, Ordering::SeqCst);
    let page = browser.visit(&app.url("/whoami")).await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn n14_a_panicking_store_fails_one_request_and_the_service_goes_on() {
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

#[tokio::test]
async fn n5_a_token_that_cannot_be_stored_is_revoked_again_and_the_answer_is_503() {
    let (app, probe) = app(CacheConfig::new()).await;
    let mut browser = TestBrowser::new();
    let callback = app.callback(&mut browser, "/sites").await;
    // Down between the read that comes first and the write: after the exchange.
    app.fake.fail_next(
        tower_webflow_auth::testing::Endpoint::Token,
        tower_webflow_auth::testing::Fault::Delay(Duration::from_millis(200)),
    );
    let down = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        probe.down(true);
    };
    let (page, ()) = tokio::join!(browser.step(&callback), down);
    assert_eq!(page.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((app.fake.issued_tokens(), app.fake.live_tokens()), (1, 0));
    probe.down(false);
    assert_eq!(app.connect(&mut browser, "/sites").await.status, StatusCode::OK);
}

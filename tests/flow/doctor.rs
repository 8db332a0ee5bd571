//! The doctor. Every line that can fail is made to fail by a real fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;
use tower_webflow_auth::store::{SealedToken, StoreError, TokenKey, TokenStore, TokenVersion};
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault};
use tower_webflow_auth::{
    Keyring, Scope, Subject, WebflowAuthLayer, WebflowToken,
    config::WebflowAuthBuilder,
    doctor::{Report, Status},
};

use crate::support::{App, KEY};

/// The status and the full text of a line.
fn line(report: &Report, name: &str) -> (Status, String) {
    let check = report.get(name).unwrap_or_else(|| panic!("no line {name:?} in\n{report}"));
    let remedy = check.remedy().unwrap_or_default();
    assert_eq!(check.status() == Status::Ok, remedy.is_empty(), "{report}");
    (check.status(), format!("{} -> {remedy}", check.finding()))
}

#[track_caller]
fn assert_line(report: &Report, name: &str, status: Status, words: &str) {
    let (found, text) = line(report, name);
    assert!(found == status && text.contains(words), "expected {status}: {words}\n{report}");
    assert_eq!(report.is_ok(), !format!("\n{report}").contains("\nfailed "), "{report}");
}

async fn app(change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder) -> App {
    App::with(change).await
}

#[tokio::test]
async fn good_application_passes() {
    let key = Keyring::from_base64(&Keyring::generate_base64()).unwrap();
    let app = app(|builder| builder.keyring(key).store(Counting::default())).await;
    let report = app.auth.diagnose().await;
    assert!(report.is_ok(), "{report}");
    for name in [
        "client",
        "scopes",
        "keyring",
        "store",
        "authorize page",
        "token endpoint",
        "clock",
        "callback",
        "login path",
        "logout path",
    ] {
        assert_line(&report, name, Status::Ok, "");
    }
    assert_line(&report, "redirect_uri", Status::Warning, "plain http");
    assert_line(&report, "endpoints", Status::Warning, "a fake Webflow at");
    assert_line(&report, "install url", Status::Warning, "plain http");
    assert_eq!(report.checks().len(), 13, "{report}");
    assert!(report.to_string().ends_with("10 ok, 3 warnings, 0 failed"), "{report}");
}

mod o5 {
    use super::*;

    #[tokio::test]
    async fn check_sends_no_secret_and_completes_no_flow() {
        let errors = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&errors);
        let app = app(|builder| {
            builder.on_error(move |_| {
                seen.fetch_add(1, Ordering::SeqCst);
                None
            })
        })
        .await;
        let report = app.auth.diagnose().await;
        let secret = app.fake.client_secret();
        for text in [report.to_string(), format!("{report:?}")] {
            assert!(!text.contains(secret) && !text.contains(KEY), "{text}");
        }
        let log = app.fake.log();
        assert_eq!(log.len(), 2, "one request to each endpoint");
        for request in log {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            let all = format!("{:?} {:?} {body}", request.query(), request.headers());
            assert!(!all.contains(secret), "{all}");
            assert!(
                request.header("authorization").is_none() && request.header("cookie").is_none()
            );
        }
        assert_eq!((errors.load(Ordering::SeqCst), app.fake.issued_tokens()), (0, 0));
    }
}

#[tokio::test]
async fn finds_why_the_login_path_cannot_be_the_install_url() {
    let nobody = |builder: WebflowAuthBuilder| builder.subject(|_| None);
    let signed_out = app(nobody).await.auth.diagnose().await;
    assert_line(&signed_out, "install url", Status::Warning, "answered 401");
    assert_line(&signed_out, "install url", Status::Warning, "set sign_in_at");
    let with_page = app(|builder| nobody(builder).sign_in_at("/")).await.auth.diagnose().await;
    assert_line(&with_page, "install url", Status::Warning, "plain http");

    let elsewhere = with_router(|_| {
        Router::new().route("/auth/webflow/login", get(|| async { Redirect::to("/pricing") }))
    })
    .await;
    assert_line(&elsewhere, "install url", Status::Warning, "answered 404");
    let circle = with_router(|_| {
        let here = get(|| async { Redirect::to("/auth/webflow/login") });
        Router::new().route("/auth/webflow/login", here)
    })
    .await;
    assert_line(&circle, "install url", Status::Warning, "more than 8 redirects");

    for (link, words) in [
        ("client_id=other&redirect_uri=REDIRECT&state=STATE&scope=SCOPE", "another client"),
        ("client_id=CLIENT&redirect_uri=http://a.example/&state=STATE&scope=SCOPE", "redirect URI"),
        ("client_id=CLIENT&redirect_uri=REDIRECT&state=same&scope=SCOPE", "the same state"),
        ("client_id=CLIENT&redirect_uri=REDIRECT&state=STATE&scope=sites:read", "other scopes"),
        ("client_id=CLIENT&redirect_uri=REDIRECT&state=STATE&scope=SCOPE", "plain http"),
    ] {
        let fake = Arc::new(std::sync::OnceLock::new());
        let (begun, known) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&fake));
        let app = App::with_router(
            |builder| builder,
            move |_| {
                let login = move || {
                    let state = begun.fetch_add(1, Ordering::SeqCst).to_string();
                    let (base, client, redirect): &(String, String, String) = known.get().unwrap();
                    let link = link.replace("CLIENT", client).replace("REDIRECT", redirect);
                    let link =
                        link.replace("STATE", &state).replace("SCOPE", "cms:read%20sites:read");
                    let target = format!("{base}?{link}");
                    async move { Redirect::to(&target) }
                };
                Router::new().route("/auth/webflow/login", get(login))
            },
        )
        .await;
        let authorize = app.fake.endpoints().authorize().to_string();
        let redirect = app.url("/auth/webflow/callback");
        fake.set((authorize, app.fake.client_id().to_owned(), redirect)).unwrap();
        assert_line(&app.auth.diagnose().await, "install url", Status::Warning, words);
    }
}

#[tokio::test]
async fn finds_an_authorize_link_that_webflow_refuses() {
    let app1 = app(|builder| builder.client_id("another")).await;
    let report = app1.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Failed, "compare WEBFLOW_CLIENT_ID");

    let app2 = app(|builder| builder.scopes([Scope::new("sites:raed").unwrap()])).await;
    let report = app2.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Failed, "link: invalid_scope");
    assert_line(&report, "scopes", Status::Warning, "sites:raed: not documented by Webflow");

    let app3 = app(|builder| builder).await;
    let back = format!("{}?error=invalid_scope", app3.url("/auth/webflow/callback"));
    app3.fake.fail_next(Endpoint::Authorize, Fault::Redirect(back));
    let report = app3.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Failed, "link: invalid_scope");
}

#[tokio::test]
async fn accepts_a_sign_in_page_and_warns_of_a_filter() {
    let app = app(|builder| builder).await;
    let sign_in = Fault::Redirect("https://webflow.com/dashboard/login".to_owned());
    app.fake.fail_next(Endpoint::Authorize, sign_in);
    let report = app.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Ok, "asks the user to sign in");
    app.fake.fail_next(Endpoint::Authorize, Fault::Status(403));
    let report = app.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Warning, "answers 403");
}

mod n1 {
    use super::*;

    #[tokio::test]
    async fn finds_endpoints_that_are_down_hang_or_reset() {
        let app = app(|builder| builder.timeout(Duration::from_secs(2))).await;
        for (fault, words) in [
            (Fault::Status(503), "answers 503"),
            (Fault::Hang, "no response in time"),
            (Fault::Reset, "cannot be reached"),
        ] {
            for (endpoint, name) in
                [(Endpoint::Authorize, "authorize page"), (Endpoint::Token, "token endpoint")]
            {
                app.fake.fail_always(endpoint, fault.clone());
                let report = app.auth.diagnose().await;
                app.fake.heal();
                assert_line(&report, name, Status::Failed, words);
            }
        }
        // An endless body does not delay it either.
        app.fake.fail_next(Endpoint::Authorize, Fault::Huge(1 << 40));
        assert_line(&app.auth.diagnose().await, "authorize page", Status::Ok, "");
    }
}

#[tokio::test]
async fn clock_is_unknown_without_webflow() {
    let gone = FakeWebflow::start().await;
    let endpoints = gone.endpoints();
    gone.stop().await;
    let app = app(|builder| builder.endpoints(endpoints)).await;
    let report = app.auth.diagnose().await;
    assert_line(&report, "authorize page", Status::Failed, "nothing is listening there");
    assert_line(&report, "token endpoint", Status::Failed, "nothing is listening there");
    assert_line(&report, "clock", Status::Warning, "skipped");
}

mod s5 {
    use super::*;

    #[tokio::test]
    async fn finds_a_clock_that_is_a_minute_off() {
        let app = app(|builder| builder).await;
        app.clock.advance(Duration::from_secs(30));
        assert_line(&app.auth.diagnose().await, "clock", Status::Ok, "within 60 s");
        app.clock.advance(Duration::from_secs(60));
        assert_line(&app.auth.diagnose().await, "clock", Status::Failed, "s ahead of Webflow's");
    }
}

mod k4 {
    use super::*;

    #[tokio::test]
    async fn finds_weak_keys() {
        let with = async |keyring: Keyring| app(|builder| builder.keyring(keyring)).await;
        let report = with(Keyring::from_bytes(&[7; 40]).unwrap()).await.auth.diagnose().await;
        assert_line(&report, "keyring", Status::Failed, "key number 1 repeats a few bytes");
        let report = with(Keyring::from_base64(KEY).unwrap()).await.auth.diagnose().await;
        assert_line(&report, "keyring", Status::Warning, "looks like text");
        let report = with(Keyring::generate()).await.auth.diagnose().await;
        assert_line(&report, "keyring", Status::Warning, "this process generated the key");
    }
}

#[tokio::test]
async fn finds_credentials_with_quotes() {
    let app = app(|builder| builder.client_secret("\"s3cret\"")).await;
    let report = app.auth.diagnose().await;
    assert_line(&report, "client", Status::Failed, "client_secret contains spaces, quotes");
    assert!(!report.to_string().contains("s3cret"));
}

#[tokio::test]
async fn warns_of_tunnels_and_frames() {
    let tunnel = "https://1a2b-3c.ngrok-free.invalid.ngrok-free.app/cb";
    let builder = || {
        WebflowAuthLayer::builder()
            .client_id("id")
            .client_secret("secret")
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::generate())
            .endpoints(tower_webflow_auth::Endpoints::at("http://127.0.0.1:1").unwrap())
            .timeout(Duration::from_millis(200))
    };
    let report = builder().redirect_uri(tunnel).build().unwrap().diagnose().await;
    assert_line(&report, "redirect_uri", Status::Warning, "the address of a tunnel");
    // An origin that cannot be resolved or reached is not a stopped application.
    assert_line(&report, "callback", Status::Failed, "https://1a2b");
    let framed = builder()
        .redirect_uri("https://127.0.0.1:1/cb")
        .insecure_cookies_in_frames(true)
        .build()
        .unwrap();
    assert_line(&framed.diagnose().await, "redirect_uri", Status::Warning, "check Origin");
}

#[derive(Default)]
struct Counting(AtomicUsize);

impl TokenStore for Counting {
    async fn load(&self, _: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Vec::new())
    }
    async fn save(&self, _: &SealedToken) -> Result<(), StoreError> {
        Err(StoreError::Full)
    }
    async fn remove(&self, _: &TokenKey, _: TokenVersion) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A store that claims to be healthy, like the trait's default, but is not.
struct Broken {
    hangs: bool,
}

impl TokenStore for Broken {
    async fn load(&self, _: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(StoreError::unavailable("the disk is gone"))
    }
    async fn save(&self, _: &SealedToken) -> Result<(), StoreError> {
        Err(StoreError::Full)
    }
    async fn remove(&self, _: &TokenKey, _: TokenVersion) -> Result<bool, StoreError> {
        Ok(false)
    }
}

mod n12 {
    use super::*;

    #[tokio::test]
    async fn finds_an_unreadable_store_that_claims_to_be_healthy() {
        let app1 = app(|builder| builder.store(Broken { hangs: false })).await;
        let report = app1.auth.diagnose().await;
        assert_line(&report, "store", Status::Failed, "not available: the disk is gone");

        let slow = Broken { hangs: true };
        let app2 =
            app(|builder| builder.store(slow).store_timeout(Duration::from_millis(50))).await;
        assert_line(&app2.auth.diagnose().await, "store", Status::Failed, "did not answer in time");

        let app3 = app(|builder| builder).await;
        assert_line(&app3.auth.diagnose().await, "store", Status::Warning, "kept in memory");
    }
}

#[tokio::test]
async fn finds_an_application_that_does_not_run() {
    let app = app(|builder| builder).await;
    let auth = app.auth.clone();
    let (fake, origin) = (app.fake.endpoints(), app.url(""));
    let listener_gone = app;
    drop(listener_gone);
    tokio::time::timeout(Duration::from_secs(5), async {
        while tokio::net::TcpStream::connect(origin.trim_start_matches("http://")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the server is gone");
    let report = auth.diagnose().await;
    assert_line(&report, "callback", Status::Warning, "the application is not running");
    assert!(report.get("login path").is_none(), "{report}");
    assert_eq!(fake.authorize().host_str(), Some("127.0.0.1"));
}

async fn with_router(router: impl FnOnce(&WebflowAuthLayer) -> Router) -> Report {
    let app = App::with_router(|builder| builder, router).await;
    app.auth.diagnose().await
}

#[tokio::test]
async fn finds_paths_that_reach_no_layer() {
    let page = || get(|token: WebflowToken| async move { token.scopes().to_string() });
    let report =
        with_router(|auth| Router::new().route("/sites", page()).route_layer(auth.clone())).await;
    for name in ["callback", "login path", "logout path"] {
        assert_line(&report, name, Status::Failed, "reaches no layer: the response is 404");
    }

    let report = with_router(|auth| {
        Router::new()
            .route("/sites", page())
            .route_layer(auth.clone())
            .route_service(auth.callback_path(), auth.endpoints_service())
    })
    .await;
    assert_line(&report, "callback", Status::Ok, "");
    assert_line(&report, "login path", Status::Failed, "endpoints_service()");

    let report =
        with_router(|auth| Router::new().nest_service("/auth/webflow", auth.endpoints_service()))
            .await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn finds_a_rewritten_path() {
    // A proxy that removes a prefix of which only clients know.
    async fn strip(mut request: Request, next: axum::middleware::Next) -> axum::response::Response {
        let path = request.uri().path().replacen("/auth", "", 1);
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().remove::<OriginalUri>();
        next.run(request).await
    }
    let report = with_router(|auth| {
        let app = Router::new().fallback(|| async { "inner" }).layer(auth.clone());
        Router::new().fallback_service(
            tower::ServiceBuilder::new().layer(axum::middleware::from_fn(strip)).service(app),
        )
    })
    .await;
    assert_line(&report, "callback", Status::Failed, "treats it as an ordinary path");
}

#[tokio::test]
async fn finds_an_endpoints_service_mounted_elsewhere() {
    let report = with_router(|auth| {
        let endpoints = auth.endpoints_service();
        let moved = tower::ServiceBuilder::new()
            .map_request(|mut request: Request| {
                *request.uri_mut() = "/moved".parse().unwrap();
                request.extensions_mut().remove::<OriginalUri>();
                request
            })
            .service(endpoints);
        Router::new().fallback_service(moved)
    })
    .await;
    assert_line(&report, "callback", Status::Failed, "mounted where the service does not know it");
}

#[tokio::test]
async fn finds_another_responder_on_the_callback() {
    let report = with_router(|_| Router::new().fallback(|| async { "all is one page" })).await;
    assert_line(
        &report,
        "callback",
        Status::Failed,
        "something other than the layer responds to /auth/webflow/callback with 200",
    );

    let report =
        with_router(|_| Router::new().fallback(|| async { StatusCode::UNAUTHORIZED })).await;
    assert_line(
        &report,
        "callback",
        Status::Failed,
        "something other than the layer responds to /auth/webflow/callback with 401",
    );

    let elsewhere = || async { Redirect::permanent("https://www.example.com/") };
    let report = with_router(|_| Router::new().fallback(elsewhere)).await;
    assert_line(&report, "callback", Status::Failed, "redirected elsewhere (308)");
}

#[tokio::test]
async fn finds_a_silent_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let fake = FakeWebflow::builder().redirect_uri(format!("{origin}/cb")).start().await.unwrap();
    let auth = WebflowAuthLayer::builder()
        .client_id(fake.client_id())
        .client_secret(fake.client_secret())
        .redirect_uri(format!("{origin}/cb"))
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
        .endpoints(fake.endpoints())
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    // The listener's queue accepts the connection, but nobody responds.
    assert_line(&auth.diagnose().await, "callback", Status::Failed, "did not answer in time");
    let hang_up = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    assert_line(&auth.diagnose().await, "callback", Status::Failed, "cannot be reached");
    hang_up.abort();
}

#[test]
fn reports_a_configuration_that_does_not_build() {
    let error = WebflowAuthLayer::builder().redirect_uri("http://app.example.com/cb").build();
    let report = Report::from(&error.unwrap_err());
    assert_line(&report, "keyring (WEBFLOW_AUTH_KEY)", Status::Failed, "is missing");
    assert_line(
        &report,
        "redirect_uri (WEBFLOW_REDIRECT_URI)",
        Status::Failed,
        "is not https -> use https",
    );
    assert!(!report.is_ok());
}

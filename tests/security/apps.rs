//! Several apps on one host, with one key ring and one database: I7 of the threat model.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_webflow_auth::testing::{Endpoint, FakeWebflow, Fault, TestBrowser};
use tower_webflow_auth::{
    Clock, Keyring, Scope, Subject, WebflowAuthLayer, WebflowToken, config::WebflowAuthBuilder,
};

use crate::support::KEY;
use crate::support::hostile::{HOST, TestStore, call, cookies_of, headers};
use crate::support::log::logged;

/// Two apps behind one address, each with its own client at Webflow.
struct Host {
    address: SocketAddr,
    store: TestStore,
    fakes: [FakeWebflow; 2],
    apps: [WebflowAuthLayer; 2],
    server: JoinHandle<()>,
}

/// The path prefixes of the apps. The second app is named after its prefix.
const PATHS: [&str; 2] = ["plain", "staging"];

impl Host {
    async fn start(change: impl Fn(WebflowAuthBuilder) -> WebflowAuthBuilder) -> Self {
        let listener = TcpListener::bind((HOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = TestStore::default();
        let fakes = [fake(address, PATHS[0]).await, fake(address, PATHS[1]).await];
        let plain = layer(&fakes[0], address, PATHS[0], &store);
        let staging = layer(&fakes[1], address, PATHS[1], &store).name("staging");
        let apps = [plain, staging].map(|app| change(app).build().unwrap());
        let router = PATHS.iter().zip(&apps).fold(Router::new(), |router, (path, app)| {
            let own =
                Router::new().route(&format!("/{path}"), get(whoami)).route_layer(app.clone());
            let endpoints =
                [app.callback_path(), app.login_path().unwrap(), app.logout_path().unwrap()];
            let route = |router: Router, path| router.route_service(path, app.endpoints_service());
            router.merge(endpoints.into_iter().fold(own, route))
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, store, fakes, apps, server }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    async fn visit(&self, browser: &mut TestBrowser, app: usize) -> StatusCode {
        let navigate = headers(&[("sec-fetch-mode", "navigate"), ("x-user", "ada")]);
        let url = self.url(PATHS[app]);
        browser.send(Method::GET, &url, &navigate, None).await.unwrap().status
    }

    async fn connect(&self, browser: &mut TestBrowser, app: usize) {
        let navigate = headers(&[("sec-fetch-mode", "navigate"), ("x-user", "ada")]);
        let url = self.url(PATHS[app]);
        let challenge = browser.send(Method::GET, &url, &navigate, None).await.unwrap();
        let callback = self.fakes[app].approve(challenge.location().unwrap()).unwrap();
        let done = browser.send(Method::GET, callback.as_str(), &navigate, None).await.unwrap();
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    }

    async fn logout(&self, browser: &mut TestBrowser, app: usize) {
        let own = headers(&[("x-user", "ada"), ("sec-fetch-site", "same-origin")]);
        let url = self.url(&format!("{}/logout", PATHS[app]));
        let answer = browser.send(Method::POST, &url, &own, None).await.unwrap();
        assert!(answer.status.is_success() || answer.status.is_redirection(), "{}", answer.text);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn fake(address: SocketAddr, path: &str) -> FakeWebflow {
    let redirect_uri = format!("http://{address}/{path}/callback");
    let fake = FakeWebflow::builder()
        .client_id(format!("client of {path}"))
        .redirect_uri(redirect_uri)
        .start()
        .await
        .unwrap();
    // Both are installed on the same site.
    let covers = json!({"authorization": {"id": "a", "authorizedTo": {
        "siteIds": ["site-1"], "workspaceIds": ["workspace-1"],
    }}});
    fake.fail_always(Endpoint::Introspect, Fault::json(200, &covers));
    fake
}

fn layer(
    fake: &FakeWebflow,
    address: SocketAddr,
    path: &str,
    store: &TestStore,
) -> WebflowAuthBuilder {
    fake.layer(format!("http://{address}/{path}/callback"))
        .scopes([Scope::SITES_READ])
        .login_path(&*format!("/{path}/login"))
        .logout_path(&*format!("/{path}/logout"))
        .keyring(Keyring::from_base64(KEY).unwrap())
        .store(store.clone())
}

async fn whoami(token: WebflowToken) -> Json<Value> {
    Json(json!({ "subject": token.subject().as_str() }))
}

fn by_header(builder: WebflowAuthBuilder) -> WebflowAuthBuilder {
    builder.subject(|parts| Some(Subject::user(parts.headers.get("x-user")?.to_str().ok()?)))
}

mod i7 {
    use super::*;

    #[tokio::test]
    async fn equal_users_of_two_apps_share_no_grant() {
        let host = Host::start(by_header).await;
        let mut browser = TestBrowser::new();
        host.connect(&mut browser, 0).await;
        assert_eq!(host.visit(&mut browser, 0).await, StatusCode::OK);
        assert_eq!(host.visit(&mut browser, 1).await, StatusCode::SEE_OTHER, "not connected");
        host.connect(&mut browser, 1).await;

        let handles = host.apps.each_ref().map(WebflowAuthLayer::handle);
        let ada = Subject::user("ada");
        let rows = host.store.rows();
        assert_eq!(rows.len(), 2);
        for handle in &handles {
            let (log, _capture) = logged();
            let by_site = handle.tokens_for_site("site-1").await.unwrap();
            let mine = handle.tokens(&ada).await.unwrap();
            assert_eq!((by_site.len(), mine.len()), (1, 1));
            assert_eq!((by_site[0].subject(), mine[0].subject()), (&ada, &ada));
            assert!(!log.text().contains("WARN"), "{}", log.text());
            let stored: Vec<_> = rows.iter().map(|row| row.key().subject()).collect();
            let found = [handle.tokens(stored[0]).await, handle.tokens(stored[1]).await];
            let found = found.map(|found| found.map_or(0, |tokens| tokens.len()));
            assert_eq!(found.iter().sum::<usize>(), 1, "one row is this app's");
        }

        assert_eq!(handles[0].revoke(&ada).await.unwrap(), 1);
        assert_eq!(host.store.rows().len(), 1);
        assert_eq!(host.visit(&mut browser, 0).await, StatusCode::SEE_OTHER);
        assert_eq!(host.visit(&mut browser, 1).await, StatusCode::OK, "the other one stays");
        assert_eq!((host.fakes[0].live_tokens(), host.fakes[1].live_tokens()), (0, 1));
    }

    #[tokio::test]
    async fn purge_of_one_app_keeps_the_grants_of_the_other() {
        let host = Host::start(|builder| builder).await;
        for app in [0, 1, 0] {
            host.connect(&mut TestBrowser::new(), app).await;
        }
        let own = host.store.rows();
        let clock = Clock::manual(SystemTime::now() + Duration::from_secs(3600));
        let later = layer(&host.fakes[0], host.address, PATHS[0], &host.store).clock(clock);
        let later = later.build().unwrap().handle();
        assert_eq!(later.purge_older_than(Duration::from_secs(7200)).await.unwrap(), 0);
        assert_eq!(host.store.rows().len(), own.len());
        assert_eq!(later.purge_older_than(Duration::from_secs(60)).await.unwrap(), 2);
        assert_eq!(host.store.rows().len(), 1);
        let other = host.apps[1].handle();
        assert_eq!(other.tokens_for_site("site-1").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn cookies_of_two_apps_are_separate() {
        let host = Host::start(|builder| builder).await;
        let mut browser = TestBrowser::new();
        for app in [0, 1] {
            assert_eq!(host.visit(&mut browser, app).await, StatusCode::SEE_OTHER);
        }
        let flows = browser.cookies(HOST);
        let count = |prefix| flows.iter().filter(|(name, _)| name.starts_with(prefix)).count();
        assert_eq!((count("webflow-flow-"), count("webflow.staging.flow-")), (1, 1), "{flows:?}");

        host.connect(&mut browser, 0).await;
        host.connect(&mut browser, 1).await;
        let session = |browser: &TestBrowser, name: &str| {
            browser.cookies(HOST).into_iter().find(|(it, _)| it == name).map(|(_, value)| value)
        };
        let plain = session(&browser, "webflow-session").unwrap();
        let named = session(&browser, "webflow.staging.session").unwrap();

        host.visit(&mut browser, 1).await;
        host.logout(&mut browser, 0).await;
        assert_eq!(session(&browser, "webflow-session"), None);
        assert_eq!(session(&browser, "webflow.staging.session").as_ref(), Some(&named));
        assert_eq!(host.visit(&mut browser, 1).await, StatusCode::OK);

        for (name, value, app) in
            [("webflow-session", &named, 0), ("webflow.staging.session", &plain, 1)]
        {
            let mut thief = TestBrowser::new();
            thief.set_cookie(HOST, name, value);
            assert_eq!(host.visit(&mut thief, app).await, StatusCode::SEE_OTHER, "{name}");
        }
    }

    #[tokio::test]
    async fn flow_cookie_of_one_app_ends_no_flow_of_the_other() {
        let host = Host::start(|builder| builder).await;
        let mut browser = TestBrowser::new();
        assert_eq!(host.visit(&mut browser, 0).await, StatusCode::SEE_OTHER);
        let (name, value) = browser.cookies(HOST).remove(0);
        let id = name.strip_prefix("webflow-flow-").unwrap();
        let mut thief = TestBrowser::new();
        thief.set_cookie(HOST, &format!("webflow.staging.flow-{id}"), &value);
        let url = host.url("staging/callback?code=c&state=s");
        let page = thief.visit(&url).await.unwrap();
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        assert_eq!(host.fakes[1].requests_to("/oauth/access_token").len(), 0);
    }

    #[tokio::test]
    async fn changed_client_id_asks_for_consent_and_keeps_the_rows() {
        let host = Host::start(|builder| builder).await;
        let mut browser = TestBrowser::new();
        host.connect(&mut browser, 0).await;
        let rows = host.store.rows();

        let other = fake(host.address, "other").await;
        let changed = layer(&other, host.address, PATHS[0], &host.store).build().unwrap();
        let router = Router::new().route("/plain", get(whoami)).layer(changed.clone());
        let cookies = cookies_of(&browser);
        let sent = [("sec-fetch-mode", "navigate"), ("cookie", cookies.as_str())];
        let answer = call(router, "GET", "/plain", &sent).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "a new consent: {}", answer.text);
        assert_eq!(host.store.rows(), rows, "the rows stay");
        let subject = rows[0].key().subject();
        assert!(changed.handle().tokens_for_site("site-1").await.unwrap().is_empty());

        assert_eq!(host.visit(&mut browser, 0).await, StatusCode::OK, "by the old settings");
        assert_eq!(host.apps[0].handle().revoke(subject).await.unwrap(), 1);
        assert_eq!(host.fakes[0].live_tokens(), 0);
    }
}

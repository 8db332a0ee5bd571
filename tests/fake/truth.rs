//! How Webflow and the network really behave, by the numbers of the list of faults: E14, E15, E17
//! and W1 to W10.
use serde_json::{Value, json};
use tower_webflow_auth::testing::{Access, Endpoint, Fault, RecordedRequest, TestBrowser};
use tower_webflow_auth::{Scope, Subject, WebflowToken};

use crate::support::App;

mod e14_proxies {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::process::Command;
    use tower_webflow_auth::Endpoints;

    use super::*;

    /// Runs one test of this file in a process whose environment names a proxy. Returns the first
    /// lines that the proxy received. The proxy closes every connection.
    async fn behind_a_proxy(test: &str) -> (bool, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        let module = module_path!().split_once("::").unwrap().1;
        command.args(["--exact", &format!("{module}::{test}"), "--include-ignored"]);
        for name in ["NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            command.env(name, &proxy);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = child.spawn().unwrap();
        let mut asked = Vec::new();
        loop {
            tokio::select! {
                status = child.wait() => return (status.unwrap().success(), asked),
                accepted = listener.accept() => {
                    let (mut stream, _) = accepted.unwrap();
                    let mut bytes = [0; 1024];
                    let read = stream.read(&mut bytes).await.unwrap();
                    let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
                    asked.push(head.lines().next().unwrap_or_default().to_owned());
                }
            }
        }
    }

    #[tokio::test]
    #[ignore = "run by the test beside it, in an environment with a proxy"]
    async fn sign_in_on_loopback() {
        let app = App::with(|builder| builder.login_path("/auth/webflow/login")).await;
        let mut browser = app.connected().await;
        assert_eq!(browser.visit(&app.url("/sites")).await.unwrap().status, 200);
        let report = app.auth.diagnose().await;
        assert!(report.is_ok(), "{report}");
        let token = WebflowToken::for_test([Scope::SITES_READ]).webflow(&app.fake).build();
        token.api().sites().await.unwrap();
    }

    #[tokio::test]
    async fn loopback_is_reached_without_the_proxy() {
        let (succeeded, asked) = behind_a_proxy("sign_in_on_loopback").await;
        assert!(asked.is_empty(), "the proxy was asked: {asked:?}");
        assert!(succeeded);
    }

    #[tokio::test]
    #[ignore = "run by the test beside it, in an environment with a proxy"]
    async fn exchange_over_https() {
        let app = App::with(|builder| builder.endpoints(Endpoints::webflow())).await;
        let mut browser = TestBrowser::new();
        let page = sign_in(&app, &mut browser).await;
        assert_eq!(page.status, 502, "{}", page.text);
    }

    #[tokio::test]
    async fn https_uses_the_proxy() {
        let (succeeded, asked) = behind_a_proxy("exchange_over_https").await;
        assert!(succeeded, "{asked:?}");
        assert!(!asked.is_empty());
        for line in &asked {
            assert_eq!(line, "CONNECT api.webflow.com:443 HTTP/1.1");
        }
    }
}

/// Starts a flow and completes it with a code, whichever Webflow is behind the layer.
async fn sign_in(app: &App, browser: &mut TestBrowser) -> tower_webflow_auth::testing::Page {
    let challenge = browser.step(&app.url("/whoami")).await.unwrap();
    let link = challenge.location().unwrap();
    let (_, state) = link.query_pairs().find(|(name, _)| name == "state").unwrap();
    browser
        .step(&app.url(&format!("/auth/webflow/callback?code=c0de&state={state}")))
        .await
        .unwrap()
}

mod e15_reused_connections {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tower_webflow_auth::Endpoints;
    use tower_webflow_auth::api::ApiError;

    use super::*;

    /// A Webflow that answers the first request of a connection, keeps it open, and closes it when
    /// the next request has arrived.
    struct Webflow {
        endpoints: Endpoints,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Webflow {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let asked = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&asked);
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&log)));
                }
            });
            Self { endpoints: Endpoints::at(&base).unwrap(), asked }
        }

        fn asked(&self, line: &str) -> usize {
            self.asked.lock().unwrap().iter().filter(|asked| *asked == line).count()
        }
    }

    async fn serve(stream: TcpStream, log: Arc<Mutex<Vec<String>>>) {
        let mut stream = BufReader::new(stream);
        let Some(line) = request(&mut stream).await else { return };
        log.lock().unwrap().push(line.clone());
        let body = match line.as_str() {
            "POST /oauth/access_token" => r#"{"access_token": "t0ken"}"#,
            "POST /oauth/revoke_authorization" => r#"{"did_revoke": true}"#,
            "GET /v2/token/introspect" => {
                r#"{"authorization": {"authorizedTo": {"siteIds": ["s1"]}}}"#
            }
            _ => "{}",
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        if let Some(line) = request(&mut stream).await {
            log.lock().unwrap().push(line);
        }
    }

    /// Reads one request: its method and path.
    async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
        let (mut first, mut length) = (String::new(), 0);
        stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let mut words = first.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    }

    #[tokio::test]
    async fn exchanges_are_retried_once() {
        let webflow = Webflow::start().await;
        let endpoints = webflow.endpoints.clone();
        let app = App::with(|builder| builder.endpoints(endpoints).introspect(false)).await;
        for _ in 0..6 {
            let page = sign_in(&app, &mut TestBrowser::new()).await;
            assert_eq!(page.status, 303, "{}", page.text);
        }
        assert!(webflow.asked("POST /oauth/access_token") > 6, "a connection was reused");
    }

    #[tokio::test]
    async fn introspections_and_revocations_are_retried_once() {
        let webflow = Webflow::start().await;
        let endpoints = webflow.endpoints.clone();
        let app = App::with(|builder| builder.endpoints(endpoints)).await;
        for _ in 0..4 {
            let mut browser = TestBrowser::new();
            assert_eq!(sign_in(&app, &mut browser).await.status, 303);
            let page = browser.visit(&app.url("/whoami")).await.unwrap();
            assert_eq!(page.json()["sites"], json!(["s1"]), "{}", page.text);
            let page = browser.submit(&app.url("/auth/webflow/logout?revoke=true")).await.unwrap();
            assert_eq!(page.status, 200, "{}", page.text);
        }
        assert!(webflow.asked("GET /v2/token/introspect") > 4, "a connection was reused");
        assert!(webflow.asked("POST /oauth/revoke_authorization") >= 4);
    }

    #[tokio::test]
    async fn gets_are_retried_once_and_posts_are_not() {
        let webflow = Webflow::start().await;
        let token = WebflowToken::for_test([]).endpoints(webflow.endpoints.clone()).build();
        for _ in 0..6 {
            token.api().get("/v2/sites").send().await.unwrap().bytes().await.unwrap();
        }
        assert!(webflow.asked("GET /v2/sites") > 6, "a connection was reused");

        let token = WebflowToken::for_test([]).endpoints(webflow.endpoints.clone()).build();
        token.api().post("/v2/x").send().await.unwrap().bytes().await.unwrap();
        let lost = token.api().post("/v2/x").send().await;
        assert!(matches!(lost, Err(ApiError::Unreachable(_))), "{lost:?}");
        assert_eq!(webflow.asked("POST /v2/x"), 2);
    }
}

mod e17_odd_ids {
    use super::*;

    #[tokio::test]
    async fn are_dropped_with_one_warning() {
        let (log, _capture) = crate::support::log::logged();
        let app = App::start().await;
        let lengthy = "x".repeat(129);
        let odd = json!(["s1", "s\u{0}2", "", "s\n3", "s 4", lengthy, 7]);
        let answer = json!({"authorization": {
            "id": "a\u{0}",
            "scope": "sites:read",
            "authorizedTo": {"siteIds": odd, "workspaceIds": odd},
        }});
        for _ in 0..2 {
            app.fake.fail_next(Endpoint::Introspect, Fault::json(200, &answer));
            let page = app.connect(&mut TestBrowser::new(), "/whoami").await;
            assert_eq!(page.json()["sites"], json!(["s1"]), "{}", page.text);
        }
        let handle = app.auth.handle();
        let [token, _] = handle.tokens_for_workspace("s1").await.unwrap().try_into().unwrap();
        assert_eq!((token.workspaces(), token.authorization_id()), (&["s1".to_owned()][..], None));

        let sites = json!({"sites": [{"id": "s\u{0}"}, {"id": "s1", "workspaceId": "w\u{0}"}]});
        app.fake.fail_next(Endpoint::Sites, Fault::json(200, &sites));
        let sites = token.api().sites().await.unwrap();
        assert_eq!(sites.len(), 1, "{sites:?}");
        assert_eq!((sites[0].id.as_str(), sites[0].workspace_id.as_str()), ("s1", ""));

        for odd in ["s\u{0}", ""] {
            assert!(handle.tokens_for_site(odd).await.unwrap().is_empty());
            assert!(handle.tokens_for_workspace(odd).await.unwrap().is_empty());
        }
        assert_eq!(
            log.text().matches("dropped an ID of Webflow's response").count(),
            1,
            "{}",
            log.text()
        );
    }
}

/// An application whose only user has connected Webflow, and that user's token.
async fn connected() -> (App, WebflowToken) {
    let app = App::with(|builder| {
        let scopes = [Scope::SITES_READ, Scope::CMS_READ, Scope::AUTHORIZED_USER_READ];
        builder.subject(|_| Some(Subject::user("ada"))).scopes(scopes)
    })
    .await;
    app.connect(&mut TestBrowser::new(), "/whoami").await;
    let token = app.auth.handle().token(&Subject::user("ada")).await.unwrap().unwrap();
    (app, token)
}

fn not_authorized() -> Fault {
    let body = json!({
        "code": "not_authorized",
        "message": "Request not authorized",
        "externalReference": null,
        "details": [],
    });
    Fault::json(401, &body)
}

mod w1_a_401_alone {
    use std::time::Duration;

    use axum::http::Method;
    use tower_webflow_auth::api::ApiError;

    use super::*;

    const INTROSPECT: &str = "/v2/token/introspect";

    #[tokio::test]
    async fn does_not_cost_the_grant() {
        let app = App::start().await;
        let mut browser = app.connected().await;
        app.fake.clear_log();
        app.fake.fail_always(Endpoint::Sites, not_authorized());
        let page = browser.fetch(Method::GET, &app.url("/sites")).await.unwrap();
        assert_eq!(page.status, 403, "{}", page.text);
        assert_eq!(page.json()["type"], "urn:tower-webflow-auth:webflow-forbids");
        assert_eq!(page.json()["login_url"], Value::Null);
        assert!(page.set_cookies().is_empty());
        assert_eq!(app.fake.requests_to(INTROSPECT).len(), 1);

        let page = browser.step(&app.url("/sites")).await.unwrap();
        assert_eq!((page.status.as_u16(), page.location()), (403, None), "{}", page.text);
        assert!(page.set_cookies().is_empty());
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert_eq!(browser.visit(&app.url("/whoami")).await.unwrap().status, 200);
        app.fake.heal();
        assert_eq!(browser.visit(&app.url("/sites")).await.unwrap().status, 200);
    }

    #[tokio::test]
    async fn introspects_the_token_and_remembers_success_for_ten_seconds() {
        let (app, token) = connected().await;
        app.fake.clear_log();
        app.fake.fail_always(Endpoint::Sites, not_authorized());
        for (seconds, asked) in [(0, 1), (0, 1), (9, 1), (1, 2), (0, 2)] {
            app.clock.advance(Duration::from_secs(seconds));
            let error = token.api().sites().await.unwrap_err();
            assert_eq!(error.status().as_u16(), 403, "{error:?}");
            assert_eq!(app.fake.requests_to(INTROSPECT).len(), asked);
        }
        // Within the ten seconds, even a token that has died counts as valid.
        app.fake.revoke_everything();
        assert_eq!(token.api().sites().await.unwrap_err().status().as_u16(), 403);
        app.clock.advance(Duration::from_secs(10));
        let error = token.api().sites().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn is_no_proof_while_introspection_fails() {
        let (app, token) = connected().await;
        app.fake.fail_always(Endpoint::Sites, not_authorized());
        app.fake.clear_log();
        for fault in [Fault::Status(500), Fault::Status(429), Fault::Reset, Fault::Truncated] {
            app.fake.fail_always(Endpoint::Introspect, fault);
            let error = token.api().sites().await.unwrap_err();
            assert_eq!(error.status().as_u16(), 403, "{error:?}");
            assert!(error.is_transient(), "it may turn out otherwise later");
        }
        let asked = app.fake.requests_to(INTROSPECT).len();
        assert_eq!(asked, 5, "failures are not remembered, and a reset is tried twice");
        app.fake.fail_always(Endpoint::Introspect, Fault::Status(401));
        let error = token.api().sites().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn of_introspection_itself_is_proof() {
        let (app, token) = connected().await;
        app.fake.revoke_everything();
        app.fake.clear_log();
        let error = token.api().introspect().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
        assert_eq!(app.fake.requests_to(INTROSPECT).len(), 1);
    }

    #[tokio::test]
    async fn is_what_the_fake_answers_for_foreign_sites() {
        let (app, token) = connected().await;
        let foreign = app.fake.workspaces()[1].sites()[0].id().to_owned();
        let path = format!("/v2/sites/{foreign}/collections");
        let error = token.api().get(&path).send().await.unwrap_err();
        assert_eq!(error.status().as_u16(), 403, "{error:?}");
        assert_eq!(error.webflow().unwrap().code, "not_authorized");
    }
}

/// Connects Webflow as this user, with these sites.
async fn connect_as(app: &App, user: &str, access: Access) -> String {
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("x-user", user.parse().unwrap());
    headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
    let mut browser = TestBrowser::new();
    let get = axum::http::Method::GET;
    let url = app.url("/whoami");
    let challenge = browser.send(get.clone(), &url, &headers, None).await.unwrap();
    let callback = app.fake.approve_with(challenge.location().unwrap(), access).unwrap();
    let page = browser.send(get, callback.as_str(), &headers, None).await.unwrap();
    assert_eq!(page.status, 303, "{}", page.text);
    app.fake.latest_token().unwrap()
}

mod id_tokens {
    use tower_webflow_auth::handle::IdTokenError;
    use tower_webflow_auth::testing::FakeWebflow;

    use super::*;

    const RESOLVE: &str = "/beta/token/resolve";

    async fn app(scopes: impl IntoIterator<Item = Scope>) -> App {
        App::with(|builder| {
            builder
                .scopes(scopes)
                .subject(|parts| Some(Subject::user(parts.headers.get("x-user")?.to_str().ok()?)))
        })
        .await
    }

    fn sites(fake: &FakeWebflow) -> [String; 2] {
        [0, 1].map(|index| fake.workspaces()[0].sites()[index].id().to_owned())
    }

    #[tokio::test]
    async fn w2_of_another_site_are_refused() {
        let app = app([Scope::AUTHORIZED_USER_READ]).await;
        let [shop, blog] = sites(&app.fake);
        let both = Access::Sites(vec![shop.clone(), blog.clone()]);
        connect_as(&app, "ada", both.clone()).await;
        connect_as(&app, "bob", both).await;
        let handle = app.auth.handle();
        let id_token = app.fake.id_token(&blog);
        let refused = handle.resolve_id_token(&shop, &id_token).await;
        assert!(matches!(refused, Err(IdTokenError::Refused)), "{refused:?}");
        assert_eq!(app.fake.requests_to(RESOLVE).len(), 1, "no other grant is asked");
        let user = handle.resolve_id_token(&blog, &id_token).await.unwrap();
        assert_eq!(user.email.as_deref(), Some("ada@example.com"));
    }

    #[tokio::test]
    async fn w3_are_resolved_by_any_grant_of_the_site() {
        let app = app([Scope::AUTHORIZED_USER_READ]).await;
        let [shop, _] = sites(&app.fake);
        let access = Access::Sites(vec![shop.clone()]);
        connect_as(&app, "ada", access.clone()).await;
        let dead = connect_as(&app, "bob", access).await;
        app.fake.revoke(&dead);
        let handle = app.auth.handle();
        assert_eq!(handle.tokens_for_site(&shop).await.unwrap().len(), 2);
        let user = handle.resolve_id_token(&shop, &app.fake.id_token(&shop)).await.unwrap();
        assert_eq!(user.email.as_deref(), Some("ada@example.com"));
        let left = handle.tokens_for_site(&shop).await.unwrap();
        assert_eq!(left.len(), 1, "the dead grant is removed");
        assert_eq!(left[0].subject(), &Subject::user("ada"));
    }

    #[tokio::test]
    async fn w3_are_tried_with_four_grants_at_most() {
        let app = app([Scope::AUTHORIZED_USER_READ]).await;
        let [shop, _] = sites(&app.fake);
        let access = Access::Sites(vec![shop.clone()]);
        connect_as(&app, "u0", access.clone()).await;
        for user in ["u1", "u2", "u3", "u4"] {
            let dead = connect_as(&app, user, access.clone()).await;
            app.fake.revoke(&dead);
        }
        let handle = app.auth.handle();
        let id_token = app.fake.id_token(&shop);
        let all_dead = handle.resolve_id_token(&shop, &id_token).await;
        assert!(matches!(all_dead, Err(IdTokenError::NoGrant)), "{all_dead:?}");
        assert_eq!(app.fake.requests_to(RESOLVE).len(), 4);
        assert!(handle.resolve_id_token(&shop, &id_token).await.is_ok());
    }

    #[tokio::test]
    async fn w3_of_grants_that_fail_the_next_is_tried() {
        let app = app([Scope::AUTHORIZED_USER_READ]).await;
        let [shop, _] = sites(&app.fake);
        let access = Access::Sites(vec![shop.clone()]);
        connect_as(&app, "ada", access.clone()).await;
        connect_as(&app, "bob", access).await;
        let handle = app.auth.handle();
        for fault in [Fault::Status(503), Fault::Status(403), not_authorized()] {
            app.fake.fail_next(Endpoint::Resolve, fault.clone());
            let user = handle.resolve_id_token(&shop, &app.fake.id_token(&shop)).await;
            assert!(user.is_ok(), "{fault:?}: {user:?}");
        }
        let forged = handle.resolve_id_token(&shop, "f0rged").await;
        assert!(matches!(forged, Err(IdTokenError::Refused)), "{forged:?}");
        app.fake.fail_always(Endpoint::Resolve, Fault::Status(503));
        let down = handle.resolve_id_token(&shop, &app.fake.id_token(&shop)).await;
        assert!(matches!(down, Err(IdTokenError::Api(_))), "{down:?}");
        app.fake.heal();
        app.fake.fail_next(Endpoint::Resolve, Fault::json(200, &json!({"email": "x@example.com"})));
        let nobody = handle.resolve_id_token(&shop, &app.fake.id_token(&shop)).await;
        assert!(matches!(nobody, Err(IdTokenError::Api(_))), "{nobody:?}");
        assert_eq!(handle.tokens_for_site(&shop).await.unwrap().len(), 2, "no grant is lost");

        app.fake.clear_log();
        for odd in ["", "a b", "a\n", &"x".repeat(8193)] {
            let refused = handle.resolve_id_token(&shop, odd).await;
            assert!(matches!(refused, Err(IdTokenError::Refused)), "{refused:?}");
        }
        assert!(app.fake.requests_to(RESOLVE).is_empty(), "Webflow is not asked");
    }

    #[tokio::test]
    async fn w4_need_a_scope() {
        let app = app([Scope::SITES_READ]).await;
        let [shop, _] = sites(&app.fake);
        connect_as(&app, "ada", Access::Sites(vec![shop.clone()])).await;
        let handle = app.auth.handle();
        let refused = handle.resolve_id_token(&shop, &app.fake.id_token(&shop)).await;
        assert!(matches!(refused, Err(IdTokenError::MissingScope)), "{refused:?}");
    }
}

mod lists {
    use std::collections::BTreeSet;

    use futures::TryStreamExt as _;
    use tower_webflow_auth::api::{ApiError, ListError};
    use tower_webflow_auth::testing::ListShape;

    use super::*;

    fn page(ids: std::ops::Range<usize>, pagination: &Value) -> Fault {
        let items: Vec<_> = ids.map(|id| json!({"id": id})).collect();
        Fault::json(200, &json!({"collections": items, "pagination": pagination}))
    }

    const PATH: [&str; 3] = ["sites", "s", "collections"];

    async fn all(token: &WebflowToken) -> Result<Vec<Value>, ListError<Value>> {
        token.api().list(PATH).all().await
    }

    fn asked(app: &App) -> Vec<String> {
        let asked = app.fake.requests_to("/v2/sites/s/collections");
        let query = |(name, value): &(String, String)| format!("{name}={value}");
        asked.iter().map(|it| it.query().iter().map(query).collect::<Vec<_>>().join("&")).collect()
    }

    #[tokio::test]
    async fn w6_that_have_a_cursor_are_read_to_the_end() {
        let (app, token) = connected().await;
        for fault in [
            page(0..100, &json!({"limit": 100, "nextCursor": "c1", "total": 100})),
            page(100..200, &json!({"limit": 100, "nextCursor": "c2"})),
            page(200..250, &json!({"limit": 100, "nextCursor": null})),
        ] {
            app.fake.fail_next(Endpoint::Collections, fault);
        }
        assert_eq!(all(&token).await.unwrap().len(), 250);
        assert_eq!(asked(&app), ["limit=100", "limit=100&cursor=c1", "limit=100&cursor=c2"]);
    }

    #[tokio::test]
    async fn w6_whose_cursor_repeats_or_whose_page_is_empty_end() {
        let (app, token) = connected().await;
        let cursor = |cursor| json!({"nextCursor": cursor});
        for fault in [
            page(0..2, &cursor("c1")),
            page(2..4, &cursor("c2")),
            page(4..6, &cursor("c1")),
            page(0..2, &cursor("c1")),
            page(0..0, &cursor("c2")),
        ] {
            app.fake.fail_next(Endpoint::Collections, fault);
        }
        assert_eq!(all(&token).await.unwrap().len(), 6);
        assert_eq!(all(&token).await.unwrap().len(), 2);
        assert_eq!(asked(&app).len(), 5);
    }

    #[tokio::test]
    async fn w6_that_break_off_return_what_was_read() {
        let (app, token) = connected().await;
        let first = page(0..100, &json!({"limit": 100, "offset": 0, "total": 250}));
        app.fake.fail_next(Endpoint::Collections, first);
        app.fake.fail_next(Endpoint::Collections, Fault::Status(400));
        let broken = all(&token).await.unwrap_err();
        assert_eq!(broken.read.len(), 100);
        assert!(matches!(broken.error, ApiError::Status { .. }), "{broken:?}");
        assert_eq!(asked(&app), ["limit=100", "limit=100&offset=100"]);
    }

    #[tokio::test]
    async fn w7_that_take_no_offset_are_read_once() {
        let (app, token) = connected().await;
        let whole = json!({"limit": 100, "offset": 0, "total": 120});
        // The second response shows that the offset was ignored, by its own offset or by repeating
        // the first items.
        for again in [whole.clone(), json!({"limit": 100, "total": 120})] {
            app.fake.fail_next(Endpoint::Collections, page(0..100, &whole));
            app.fake.fail_next(Endpoint::Collections, page(0..100, &again));
            assert_eq!(all(&token).await.unwrap().len(), 100);
        }
        // More items than requested: neither `limit` nor `offset` is supported.
        app.fake.clear_log();
        let some = json!({"limit": 100, "offset": 0, "total": 5});
        app.fake.fail_next(Endpoint::Collections, page(0..3, &some));
        let items: Vec<Value> = token.api().list(PATH).page_size(2).all().await.unwrap();
        assert_eq!((items.len(), asked(&app).len()), (3, 1));
    }

    #[tokio::test]
    async fn w8_that_are_null_are_empty() {
        let (app, token) = connected().await;
        app.fake.fail_next(Endpoint::Sites, Fault::json(200, &json!({"sites": null})));
        assert!(token.api().sites().await.unwrap().is_empty());
        for answer in [
            json!({"collections": null}),
            json!({"collections": null, "pagination": {"limit": 100, "offset": 0, "total": 9}}),
        ] {
            app.fake.fail_next(Endpoint::Collections, Fault::json(200, &answer));
            assert!(all(&token).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn are_found_in_their_answer() {
        let (app, token) = connected().await;
        let two = Fault::json(200, &json!({"a": [1], "b": [2, 3], "c": "d"}));
        app.fake.fail_always(Endpoint::Collections, two);
        let either = all(&token).await.unwrap_err();
        assert!(matches!(either.error, ApiError::Decode(_)), "{either:?}");
        let named: Vec<Value> = token.api().list(PATH).field("b").all().await.unwrap();
        assert_eq!(named, [2, 3]);
        let unknown = token.api().list::<Value>(PATH).field("x").all().await.unwrap_err();
        assert!(matches!(unknown.error, ApiError::Decode(_)), "{unknown:?}");
        app.fake.clear_log();
        for size in [0, 101] {
            let refused = token.api().list::<Value>(PATH).page_size(size).all().await.unwrap_err();
            assert!(matches!(refused.error, ApiError::InvalidRequest(_)), "{refused:?}");
        }
        let climbing = token.api().list::<Value>(["sites", ".."]).all().await.unwrap_err();
        assert!(matches!(climbing.error, ApiError::InvalidRequest(_)), "{climbing:?}");
        assert!(app.fake.log().is_empty());
    }

    #[tokio::test]
    async fn of_the_fake_are_read_in_every_shape() {
        let (app, token) = connected().await;
        let site = app.fake.workspaces()[0].sites()[0].id().to_owned();
        let path = ["sites", &site, "collections"];
        for (shape, expected) in [
            (ListShape::Offset, 3),
            (ListShape::Cursor, 3),
            (ListShape::Whole, 3),
            (ListShape::Null, 0),
        ] {
            app.fake.set_list_shape(shape);
            let list = token.api().list::<Value>(path).page_size(2);
            let list = list.query(&[("a", "b")]).query(&[("c", "d")]);
            let items: Vec<_> = list.stream().try_collect().await.unwrap();
            let ids: BTreeSet<_> = items.iter().map(|item| item["id"].to_string()).collect();
            assert_eq!((items.len(), ids.len()), (expected, expected), "{shape:?}");
        }
        let asked = app.fake.requests_to(&format!("/v2/sites/{site}/collections"));
        let count = |name: &str| asked.iter().filter(|it| it.query()[0].0 == name).count();
        assert_eq!((asked.len(), count("a")), (6, 6), "one's own query is on every page");
    }
}

mod w8_answers_without_content {
    use axum::http::HeaderMap;
    use tower_webflow_auth::api::ApiError;

    use super::*;

    #[tokio::test]
    async fn decode_to_nothing() {
        let (app, token) = connected().await;
        let empty = Fault::StatusWith { status: 204, headers: HeaderMap::new(), body: "".into() };
        app.fake.fail_always(Endpoint::Items, empty);
        let delete = || token.api().delete("/v2/collections/c/items").send();
        let () = delete().await.unwrap().json().await.unwrap();
        let none: Option<Value> = delete().await.unwrap().json().await.unwrap();
        assert_eq!(none, None);
        let list: Result<Vec<Value>, _> = delete().await.unwrap().json().await;
        assert!(matches!(list, Err(ApiError::Decode(_))), "{list:?}");
        // An empty body is valid for a 204 only.
        app.fake.fail_always(Endpoint::Items, Fault::body("application/json", ""));
        let cut: Result<Option<Value>, _> = delete().await.unwrap().json().await;
        assert!(matches!(cut, Err(ApiError::Decode(_))), "{cut:?}");
    }
}

mod w10_paths {
    use tower_webflow_auth::api::ApiError;

    use super::*;

    #[tokio::test]
    async fn in_parts_are_encoded() {
        let (app, token) = connected().await;
        let api = token.api();
        let id = String::from("../token/authorized_by");
        let odd = api.get(["sites", &id]).no_retry().send().await;
        assert!(matches!(odd, Err(ApiError::Status { .. })), "{odd:?}");
        let parts: &[&str] = &["sites", "a?b#c%2e d\u{e9}\u{0}", "x"];
        api.get(parts).no_retry().send().await.unwrap_err();
        api.get(["sites"]).send().await.unwrap();
        let log = app.fake.log();
        let paths: Vec<_> = log[log.len() - 3..].iter().map(RecordedRequest::path).collect();
        let expected = [
            "/v2/sites/..%2Ftoken%2Fauthorized_by",
            "/v2/sites/a%3Fb%23c%252e%20d%C3%A9%00/x",
            "/v2/sites",
        ];
        assert_eq!(paths, expected);
    }

    #[tokio::test]
    async fn that_climb_are_not_sent() {
        let (app, token) = connected().await;
        let api = token.api();
        app.fake.clear_log();
        for parts in [["sites", ""], ["sites", "."], ["sites", ".."], ["", "sites"]] {
            let refused = api.get(parts).send().await;
            assert!(matches!(refused, Err(ApiError::InvalidRequest(_))), "{parts:?}: {refused:?}");
        }
        let nothing: [&str; 0] = [];
        assert!(matches!(api.get(nothing).send().await, Err(ApiError::InvalidRequest(_))));
        for path in [
            "/v2/sites/../token/authorized_by",
            "/v2/sites/./x",
            "/v2/sites/..",
            "/v2/sites/%2e%2E/x",
            "/v2/sites/.%2e?a=b",
            "/v2/sites/..%2ftoken",
            "/v2/sites/x%2F..%5Cy",
        ] {
            let refused = api.get(path).send().await;
            let Err(error @ ApiError::InvalidRequest(_)) = refused else { panic!("{path}") };
            assert_eq!(error.status(), 400);
        }
        assert!(app.fake.log().is_empty());
        // Other dots are not segments, and a query is not part of the path.
        api.get("/v2/sites?a=../b&c=%2e%2e").send().await.unwrap();
        let owned = String::from("/v2/sites");
        api.get(&owned).send().await.unwrap();
        api.get(owned).send().await.unwrap();
    }
}
